const said = document.body.dataset;
if (opener && said.message) opener.postMessage(JSON.parse(said.message), said.origin);
if (said.close) close();
