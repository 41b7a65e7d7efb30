#!/usr/bin/env python3
"""Writes the vectors beside this file: `python3 make.py`, or `python3 make.py --check` to compare.

It is not in Rust on purpose. What it signs with is Python's hmac and hashlib, and for Ed25519 the openssl command, so that
the host's own code has no part in saying what is right. See README.md.
"""

import base64
import copy
import hashlib
import hmac
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
NOW = 1792504864
URL = "https://hooks.example.com/webhooks/"

# Emoji, CJK, right to left, combining marks: whoever hashes anything but the bytes comes to another result.
NON_ASCII = "W\u00f6chentlich \u2615 \u9031\u6b21\u5b9a\u4f8b \u0645\u0631\u062d\u0628\u0627 e\u0301 \U0001f469\u200d\U0001f4bb"


# --- signing ---------------------------------------------------------------------------------------------------------

def mac(key, message, digest="sha256"):
    return hmac.new(key, message, getattr(hashlib, digest)).digest()


def b64(data):
    return base64.b64encode(data).decode()


def sha256(body):
    return hashlib.sha256(body).hexdigest()


def seed(name):
    return hashlib.sha256(f"jackfield test key: {name}".encode()).digest()


def openssl(seed, *arguments, stdin=b""):
    """Runs openssl with an Ed25519 key that is made of its 32 bytes."""
    with tempfile.TemporaryDirectory() as directory:
        key = pathlib.Path(directory, "key.der")
        key.write_bytes(bytes.fromhex("302e020100300506032b657004220420") + seed)
        message = pathlib.Path(directory, "message")
        message.write_bytes(stdin)
        command = ["openssl", *arguments, "-keyform", "DER"]
        command = [part.format(key=key, message=message) for part in command]
        return subprocess.run(command, check=True, capture_output=True).stdout


def ed25519_public(seed):
    with tempfile.TemporaryDirectory() as directory:
        key = pathlib.Path(directory, "key.der")
        key.write_bytes(bytes.fromhex("302e020100300506032b657004220420") + seed)
        command = ["openssl", "pkey", "-inform", "DER", "-in", str(key), "-pubout", "-outform", "DER"]
        return subprocess.run(command, check=True, capture_output=True).stdout[-32:]


def ed25519(seed, message):
    return openssl(seed, "pkeyutl", "-sign", "-rawin", "-inkey", "{key}", "-in", "{message}", stdin=message)


# --- cases -----------------------------------------------------------------------------------------------------------

def delivery(event, *distinct):
    return {"delivery": {"event": event, "distinct": list(distinct)}}


def refusal(code, **details):
    status = {
        "wrong_method": 405,
        "compressed": 415,
        "wrong_content_type": 415,
        "no_secret": 503,
        "unusable_secret": 503,
        "needs_connector": 503,
        "malformed_body": 400,
        "malformed_handshake": 400,
    }.get(code, 401)
    return {"refusal": {"code": code, "status": status, **details}}


def unreadable(code):
    """What is proven and cannot be read is kept as it is."""
    return {"unreadable": {"code": code}}


def handshake(content_type, body):
    return {"handshake": {"content_type": content_type, "body": body}}


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def body_as_json(body):
    """A body as text, or as base64 if it is none; what repeats itself at length, as parts."""
    if isinstance(body, list):
        return {"body_parts": body}
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": b64(body)}


def parts(*given):
    """A long body in parts, for the file, and whole, for signing."""
    whole = "".join(part if isinstance(part, str) else part["repeat"] * part["times"] for part in given)
    return list(given), whole.encode()


class File:
    """The vectors of one provider."""

    def __init__(self, name, webhook=None, manifest=None, path=None, secret=None):
        self.name = name
        self.head = {"manifest": manifest} if manifest else {"webhook": webhook}
        self.url = URL + (path or name) + "/main"
        self.secret = secret
        self.cases = []

    def case(self, about, expect, headers=(), body=b"", now=NOW, secrets=None, handshake_secrets=None, method="POST",
             query="", url=None, content_type="application/json", webhook=None):
        headers = [list(header) for header in headers]
        if content_type is not None:
            headers.insert(0, ["content-type", content_type])
        case = {"about": about}
        if webhook is not None:
            case["webhook"] = webhook
        case["now"] = now
        case["secrets"] = [self.secret] if secrets is None else secrets
        if handshake_secrets is not None:
            case["handshake_secrets"] = handshake_secrets
        case["request"] = {"method": method, "url": url or self.url + query, "headers": headers, **body_as_json(body)}
        case["expect"] = expect
        self.cases.append(case)

    def text(self):
        text = json.dumps({**self.head, "cases": self.cases}, indent=2)
        # A header is one line, and so is a secret.
        string = r'"(?:[^"\\]|\\.)*"'
        text = re.sub(rf"\[\s+({string}),\s+({string})\s+\]", r"[\1, \2]", text)
        return re.sub(rf"\[\s+({string})\s+\]", r"[\1]", text) + "\n"


def without(headers, name):
    return [header for header in headers if header[0].lower() != name.lower()]


def replaced(headers, name, value):
    return [(key, value if key.lower() == name.lower() else old) for key, old in headers]


def value_of(headers, name):
    return next(value for key, value in headers if key.lower() == name.lower())


def flipped(body):
    """One bit of one byte, in the middle."""
    at = len(body) // 2
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]


def common(file, sign, value, event, distinct, signature, other_secret, window=None, timestamp=None, at=NOW):
    """What every provider with a signature must pass.

    `sign(body, secret, at)` gives the headers; `value` is a body; `distinct(body)` what tells it apart; `signature` the
    name of the header, `timestamp` that of the timestamp's own, if it has one.
    """
    body = compact(value)
    headers = sign(body, file.secret, at)
    accepted = lambda body: delivery(event, *distinct(body))
    case = lambda about, expect, headers=headers, body=body, now=at, **more: file.case(
        about, expect, headers, body, now, **more)

    case("a delivery", accepted(body))
    case("fault 5: signed with another secret", refusal("wrong_signature"), sign(body, other_secret, at))
    case("fault 5: one bit of the body is another", refusal("wrong_signature"), body=flipped(body))
    case("fault 5: a byte is added to the body", refusal("wrong_signature"), body=body + b"\n")
    case("fault 5: no signature", refusal("missing_signature"), without(headers, signature))
    case("fault 5: an empty signature", refusal("missing_signature"), replaced(headers, signature, ""))
    doubled = headers + [(signature, value_of(headers, signature))]
    case("fault 5: the signature twice", refusal("doubled_header", name=signature), doubled)
    other = value_of(sign(body, other_secret, at), signature)
    case("fault 5: a right and a wrong signature, in two headers", refusal("doubled_header", name=signature),
         headers + [(signature, other)])
    case("a truncated signature", refusal("malformed_signature"),
         replaced(headers, signature, value_of(headers, signature)[:-24]))
    case("a signature with something behind it", refusal("malformed_signature"),
         replaced(headers, signature, value_of(headers, signature) + "!"))
    case("a signature that is none", refusal("malformed_signature" if timestamp or not window else "missing_timestamp"),
         replaced(headers, signature, "none"))

    spaced = json.dumps(value, indent=1).encode()
    case("fault 4: the same JSON, written in another way", refusal("wrong_signature"), body=spaced)
    case("written in another way and signed so: only the bytes count", accepted(spaced), sign(spaced, file.secret, at),
         spaced)
    foreign = compact({**value, "text": NON_ASCII})
    case("a body that is not ASCII", accepted(foreign), sign(foreign, file.secret, at), foreign)
    escaped = json.dumps({**value, "text": NON_ASCII}).encode()
    case("the same with escapes, under the signature of the one without", refusal("wrong_signature"),
         sign(foreign, file.secret, at), escaped)
    case("the same with escapes, signed so", accepted(escaped), sign(escaped, file.secret, at), escaped)

    case("fault 7: no secret", refusal("no_secret"), secrets=[])
    case("fault 8: while secrets change: signed with the old one", accepted(body), secrets=[other_secret, file.secret])
    case("fault 8: while secrets change: signed with the new one", accepted(body), secrets=[file.secret, other_secret])
    case("fault 8: after it: signed with the old one", refusal("wrong_signature"), secrets=[other_secret])

    case("fault 14: no content type", unreadable("wrong_content_type"), content_type=None)
    case("fault 14: a form of several parts", unreadable("wrong_content_type"),
         content_type="multipart/form-data; boundary=x")
    case("fault 14: two content types", unreadable("wrong_content_type"), headers + [("content-type", "text/html")])
    case("the content type in capitals and with a parameter", accepted(body),
         content_type="Application/JSON; charset=utf-8")
    case("fault 10: a compressed body", refusal("compressed"), headers + [("content-encoding", "gzip")])
    case("not compressed, and saying so", accepted(body), headers + [("content-encoding", "identity")])
    case("another method", refusal("wrong_method"), method="PUT")
    for about, bad in [
        ("fault 12: a name twice", body[:-1] + b',"x":1,"x":2}'),
        ("fault 11: cut short", body[:-1]),
        ("fault 11: not UTF-8", body[:-1] + b',"x":"\xff"}'),
        ("fault 11: half a surrogate pair", body[:-1] + b',"x":"\\ud83d"}'),
        ("fault 11: a number beyond measure", body[:-1] + b',"x":1e400}'),
        ("fault 11: a byte order mark", b"\xef\xbb\xbf" + body),
        ("empty", b""),
    ]:
        case(f"a body that is signed and cannot be read: {about}", unreadable("malformed_body"),
             sign(bad, file.secret, at), bad)
        case(f"a body that is wrongly signed and cannot be read: {about}", refusal("wrong_signature"),
             sign(bad, other_secret, at), bad)
        case(f"a body that is not signed and cannot be read: {about}", refusal("malformed_body"),
             without(sign(bad, file.secret, at), signature), bad)

    if window is None:
        case("years later: there is no timestamp to go by", accepted(body), now=at + 10**8)
        return
    stale = lambda age: refusal("stale", age_seconds=age)
    case("fault 6: as old as it may be", accepted(body), now=at + window)
    case("fault 6: as far ahead as it may be", accepted(body), now=at - window)
    case("fault 6: a millisecond too old", stale(window + 1), now=at + window + 0.001)
    case("fault 6: a millisecond too far ahead", stale(-window - 1), now=at - window - 0.001)
    case("fault 6: a second too old", stale(window + 1), now=at + window + 1)
    case("fault 6: a second too far ahead", stale(-window - 1), now=at - window - 1)
    case("fault 6: stale and signed with another secret: the time is looked at first", stale(window + 1),
         sign(body, other_secret, at), now=at + window + 1)
    case("a signature for another time", refusal("wrong_signature"),
         at_another_time(headers, sign(body, file.secret, at + 1), signature, timestamp))
    for about, text in [
        ("no digits", "abc"),
        ("negative", f"-{at}"),
        ("forty digits", "1" * 40),
        ("a fraction", f"{at}.0"),
        ("a date", "2026-10-20T14:00:00Z"),
    ]:
        case(f"fault 6: a timestamp that is none: {about}", refusal("malformed_timestamp"),
             sign(body, file.secret, text))
    case("fault 6: a timestamp of 1970", stale(at), sign(body, file.secret, "0"))
    # Zoom's may be in milliseconds, and one of so many digits is.
    case("fault 6: a timestamp beyond all time", stale(at - (10**15 if file.name == "zoom" else 10**18 - 1)),
         sign(body, file.secret, "9" * 18))
    if timestamp:
        case("no timestamp", refusal("missing_timestamp"), without(headers, timestamp))
        case("an empty timestamp", refusal("missing_timestamp"), replaced(headers, timestamp, ""))
        case("the timestamp twice", refusal("doubled_header", name=timestamp),
             headers + [(timestamp, str(at))])


def at_another_time(headers, others, signature, timestamp):
    """The headers with a timestamp that another signature covers."""
    if timestamp:
        return replaced(headers, timestamp, value_of(others, timestamp))
    time = value_of(others, signature).split(",")[0]
    return replaced(headers, signature, ",".join([time, *value_of(headers, signature).split(",")[1:]]))


# --- providers -------------------------------------------------------------------------------------------------------

def hmac_webhook(title, message, signature, **more):
    verify = {"kind": "hmac", "hash": more.pop("hash", "sha256"), "message": message, "signature": signature}
    if "timestamp" in more:
        verify["timestamp"] = more.pop("timestamp")
    return {
        "name": "default",
        "secret": {"owner": "integration", "title": title, **more.pop("secret", {})},
        "verify": verify,
        "distinct": more.pop("distinct", ["body_hash"]),
        **more,
    }


def zoom():
    secret, other = "test-secret-token-not-a-real-secret", "another-token-that-is-not-real-either"
    file = File("zoom", manifest="zoom", secret=secret)

    def sign(body, secret, at):
        signature = mac(secret.encode(), b"v0:%s:%s" % (str(at).encode(), body)).hex()
        return [("x-zm-request-timestamp", str(at)), ("x-zm-signature", f"v0={signature}")]

    ended = {"event": "meeting.ended", "payload": {"account_id": "mF3kQ0WvTq2Zr8sYpLxN1A", "object": {
        "id": "92674392836", "uuid": "aDYlohsHRtCd4ii1uC2+hA==", "host_id": "x1yCzABCDEfg23HiJKl4mN",
        "topic": "Weekly", "type": 8, "start_time": "2026-10-20T14:00:00Z", "duration": 45}}}
    common(file, sign, ended, "meeting.ended", lambda body: [sha256(body)], "x-zm-signature", other, 300,
           "x-zm-request-timestamp")
    body = compact(ended)
    headers = sign(body, secret, NOW)
    accepted = delivery("meeting.ended", sha256(body))
    case = lambda about, expect, headers=headers, body=body, **more: file.case(about, expect, headers, body, **more)

    case("case 1: wrong secret", refusal("wrong_signature"), sign(body, other, NOW))
    case("case 2: no signature", refusal("missing_signature"), without(headers, "x-zm-signature"))
    case("case 2: no timestamp", refusal("missing_timestamp"), without(headers, "x-zm-request-timestamp"))
    case("case 2: neither", refusal("missing_signature"), [])
    signature = value_of(headers, "x-zm-signature")
    case("case 3: half the signature", refusal("malformed_signature"),
         replaced(headers, "x-zm-signature", signature[:40]))
    case("case 3: an odd number of digits", refusal("malformed_signature"),
         replaced(headers, "x-zm-signature", signature[:-1]))
    case("case 3: no `v0=`", refusal("malformed_signature"), replaced(headers, "x-zm-signature", signature[3:]))
    case("case 3: `v1=`", refusal("malformed_signature"), replaced(headers, "x-zm-signature", "v1=" + signature[3:]))
    case("case 3: nothing but `v0=`", refusal("malformed_signature"), replaced(headers, "x-zm-signature", "v0="))
    case("case 3: digits in upper case", accepted,
         replaced(headers, "x-zm-signature", "v0=" + signature[3:].upper()))
    case("case 3: the prefix in upper case", refusal("malformed_signature"),
         replaced(headers, "x-zm-signature", "V0=" + signature[3:]))
    case("case 3: one digit is another", refusal("wrong_signature"),
         replaced(headers, "x-zm-signature", signature[:-1] + ("0" if signature[-1] != "0" else "1")))
    case("case 4: 301 s old", refusal("stale", age_seconds=301), now=NOW + 301)
    case("case 4: 301 s ahead", refusal("stale", age_seconds=-301), now=NOW - 301)
    case("case 4: 15 ms ahead", accepted, now=NOW - 0.015)
    case("case 4: 300 s old", accepted, now=NOW + 300)
    case("case 5: in milliseconds, signed as sent", accepted, sign(body, secret, NOW * 1000))
    case("case 5: in milliseconds, signed as seconds", refusal("wrong_signature"),
         replaced(headers, "x-zm-request-timestamp", str(NOW * 1000)))
    case("case 5: in milliseconds, 300.001 s old", refusal("stale", age_seconds=301), sign(body, secret, NOW * 1000),
         now=NOW + 300.001)
    case("case 5: in milliseconds, 300 s old", accepted, sign(body, secret, NOW * 1000), now=NOW + 300)
    for about, text, code in [("abc", "abc", "malformed_timestamp"), ("empty", "", "missing_timestamp"),
                              ("negative", f"-{NOW}", "malformed_timestamp"),
                              ("40 digits", "9" * 40, "malformed_timestamp")]:
        case(f"case 6: a timestamp that is none: {about}", refusal(code), sign(body, secret, text))
    odd = (b'{\n "payload": {\n  "object": {"topic": "W\\u00f6chentlich"}\n }\t,\n'
           b' "event": "meeting.ended"\r\n}')
    case("case 7: spaces, escapes, another order", delivery("meeting.ended", sha256(odd)), sign(odd, secret, NOW), odd)
    foreign = compact({"event": "meeting.created", "payload": {"object": {"topic": NON_ASCII}}})
    case("case 8: emoji, CJK, right to left, combining marks", delivery("meeting.created", sha256(foreign)),
         sign(foreign, secret, NOW), foreign)
    latin = '{"event":"meeting.created","payload":{"object":{"topic":"W\u00f6chentlich"}}}'.encode("latin-1")
    case("case 9: not UTF-8, rightly signed", unreadable("malformed_body"), sign(latin, secret, NOW), latin)
    for about, bad in [("empty", b""), ("a list", b"[]"), ("a string", b'"x"'), ("cut short", body[:40]),
                       ("null", b"null"), ("text", b"Hello, World!")]:
        case(f"case 10: a body that is no event: {about}", unreadable("malformed_body"), sign(bad, secret, NOW), bad)
    shown, deep = parts('{"event":"meeting.ended","payload":', {"repeat": "[", "times": 10000},
                        {"repeat": "]", "times": 10000}, "}")
    case("case 10: 10,000 levels deep", unreadable("malformed_body"), sign(deep, secret, NOW), shown)
    shown, large = parts('{"event":"meeting.ended","payload":"', {"repeat": "0123456789abcdef", "times": 655360}, '"}')
    case("case 10: 10 MiB; how large a body may be is for the server to say", delivery("meeting.ended", sha256(large)),
         sign(large, secret, NOW), shown)
    no_event = b'{"payload":{}}'
    case("an event without a name is delivered without one", delivery(None, sha256(no_event)),
         sign(no_event, secret, NOW), no_event)
    for about, value in [("empty", '""'), ("null", "null"), ("an object", "{}")]:
        unnamed = f'{{"event":{value}}}'.encode()
        case(f"an event whose name is {about} is delivered without one", delivery(None, sha256(unnamed)),
             sign(unnamed, secret, NOW), unnamed)
    case("case 11: gzip", refusal("compressed"), headers + [("content-encoding", "gzip")])

    crc = {"event": "endpoint.url_validation", "event_ts": 1785369300117,
           "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}}

    def answer(secret):
        token = crc["payload"]["plainToken"]
        return handshake("application/json", {"plainToken": token, "encryptedToken": mac(
            secret.encode(), token.encode()).hex()})

    asked = compact(crc)
    case("case 12: the address is validated", answer(secret), sign(asked, secret, NOW), asked)
    case("case 12: unsigned", refusal("missing_signature"), [], asked)
    case("case 12: stale", refusal("stale", age_seconds=301), sign(asked, secret, NOW - 301), asked)
    for about, payload in [("no token", {}), ("a number", {"plainToken": 7}), ("null", {"plainToken": None}),
                           ("a list", {"plainToken": ["x"]}), ("empty", {"plainToken": ""}),
                           ("far too long", {"plainToken": "x" * 5000})]:
        malformed = compact({**crc, "payload": payload})
        case(f"case 12: a token that is none: {about}", refusal("malformed_handshake"), sign(malformed, secret, NOW),
             malformed)
        case(f"case 12: a token that is none, unsigned: {about}", refusal("missing_signature"), [], malformed)
    no_payload = b'{"event":"endpoint.url_validation"}'
    case("case 12: no payload", refusal("malformed_handshake"), sign(no_payload, secret, NOW), no_payload)
    twice = asked[:-1] + b',"event":"endpoint.url_validation"}'
    case("case 12: a name twice", unreadable("malformed_body"), sign(twice, secret, NOW), twice)
    case("case 12: with GET", refusal("wrong_method"), sign(asked, secret, NOW), asked, method="GET")
    case("case 12: as text", unreadable("wrong_content_type"), sign(asked, secret, NOW), asked, content_type="text/plain")
    case("case 12: no secret", refusal("no_secret"), sign(asked, secret, NOW), asked, secrets=[])
    case("case 13: signed with another integration's secret", refusal("wrong_signature"), sign(asked, other, NOW), asked)
    case("case 14: both secrets hold: the old one", accepted, secrets=[other, secret])
    case("case 14: both secrets hold: the new one", delivery("meeting.ended", sha256(body)), sign(body, other, NOW),
         secrets=[other, secret])
    case("case 14: the old one no longer holds", refusal("wrong_signature"), secrets=[other])
    case("case 14: validated with the old one, answered with the old one", answer(secret), sign(asked, secret, NOW),
         asked, secrets=[other, secret])
    case("case 14: validated with the new one, answered with the new one", answer(other), sign(asked, other, NOW),
         asked, secrets=[other, secret])
    case("an empty secret is none", refusal("unusable_secret"), sign(body, "", NOW), secrets=[""])
    case("beside a good secret, an empty one counts for nothing", refusal("wrong_signature"), sign(body, "", NOW),
         secrets=["", secret])
    return file


def github():
    secret, other = "It's a Secret to Everybody", "another secret to everybody"
    webhook = hmac_webhook(
        "Secret", ["body"], {"header": "X-Hub-Signature-256", "prefix": "sha256=", "encoding": "hex"},
        distinct=[{"header": "X-GitHub-Delivery"}], event={"header": "X-GitHub-Event"})
    file = File("github", webhook, secret=secret)
    guid = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    named = [("X-GitHub-Event", "issues"), ("X-GitHub-Delivery", guid)]

    def sign(body, secret, at):
        return [("X-Hub-Signature-256", "sha256=" + mac(secret.encode(), body).hex()), *named]

    opened = {"action": "opened", "issue": {"number": 1347}, "repository": {"full_name": "octocat/Hello-World"}}
    common(file, sign, opened, "issues", lambda body: [guid], "X-Hub-Signature-256", other)
    body = compact(opened)
    headers = sign(body, secret, NOW)
    text = copy.deepcopy(webhook)
    text["content_types"] = ["text/plain"]
    published = [("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")]
    file.case("published by GitHub", delivery("issues", guid), published + named, b"Hello, World!",
              content_type="text/plain", webhook=text)
    file.case("published by GitHub, one character changed", refusal("wrong_signature"), published + named,
              b"Hello, World?", content_type="text/plain", webhook=text)
    file.case("the older header alone is no signature", refusal("missing_signature"),
              [("X-Hub-Signature", "sha1=" + mac(secret.encode(), body, "sha1").hex()), *named], body)
    sha1 = copy.deepcopy(webhook)
    sha1["verify"].update(hash="sha1", signature={"header": "X-Hub-Signature", "prefix": "sha1=", "encoding": "hex"})
    file.case("the older header, where it is declared", delivery("issues", guid),
              [("X-Hub-Signature", "sha1=" + mac(secret.encode(), body, "sha1").hex()), *named], body, webhook=sha1)
    file.case("the older header with the newer hash", refusal("malformed_signature"),
              [("X-Hub-Signature", "sha1=" + mac(secret.encode(), body).hex()), *named], body, webhook=sha1)
    file.case("digits in upper case", delivery("issues", guid),
              replaced(headers, "X-Hub-Signature-256", "sha256=" + mac(secret.encode(), body).hex().upper()), body)
    file.case("without an id, the body's hash takes its place", delivery("issues", sha256(body)),
              without(headers, "X-GitHub-Delivery"), body)
    file.case("without an event's name", delivery(None, guid), without(headers, "X-GitHub-Event"), body)
    file.case("two ids", unreadable("doubled_header"), headers + [named[1]], body)
    file.case("two names of an event", unreadable("doubled_header"),
              headers + [("X-GitHub-Event", "push")], body)
    return file


def slack():
    secret, other = "8f742231b10e8888abcd99yyyzzz85a5", "0000000000000000abcd99yyyzzz85a5"
    webhook = hmac_webhook(
        "Signing Secret", [{"text": "v0:"}, "timestamp", {"text": ":"}, "body"],
        {"header": "X-Slack-Signature", "prefix": "v0=", "encoding": "hex"},
        timestamp={"header": "X-Slack-Request-Timestamp", "window_seconds": 300},
        content_types=["application/json", "application/x-www-form-urlencoded"],
        distinct=[{"pointer": "/event_id"}], event={"pointer": "/event/type"},
        handshakes=[{"when": [{"at": {"pointer": "/type"}, "equals": "url_verification"}], "signed": True,
                     "answer": {"text": {"pointer": "/challenge"}}}])
    file = File("slack", webhook, secret=secret)

    def sign(body, secret, at):
        signature = mac(secret.encode(), b"v0:%s:%s" % (str(at).encode(), body)).hex()
        return [("X-Slack-Request-Timestamp", str(at)), ("X-Slack-Signature", f"v0={signature}")]

    mention = {"type": "event_callback", "team_id": "T1DC2JH3J", "event_id": "Ev0PV52K21", "event_time": NOW,
               "event": {"type": "app_mention", "user": "U2CERLKJA", "text": "Hello"}}
    common(file, sign, mention, "app_mention", lambda body: ["Ev0PV52K21"], "X-Slack-Signature", other, 300,
           "X-Slack-Request-Timestamp")
    command = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c")
    published = [("X-Slack-Request-Timestamp", "1531420618"),
                 ("X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503")]
    form = "application/x-www-form-urlencoded"
    file.case("published by Slack: a form, so no pointer leads anywhere, and the body's hash tells it apart",
              delivery(None, sha256(command)), published, command, now=1531420618, content_type=form)
    file.case("published by Slack, five minutes later", delivery(None, sha256(command)), published, command,
              now=1531420618 + 300, content_type=form)
    file.case("published by Slack, replayed today", refusal("stale", age_seconds=NOW - 1531420618), published, command,
              content_type=form)
    limited = compact({"type": "app_rate_limited", "team_id": "T1DC2JH3J", "minute_rate_limited": 1518467820})
    file.case("a message around which there is no event", delivery(None, sha256(limited)),
              sign(limited, secret, NOW), limited)

    challenge = "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"
    asked = {"token": "Jhj5dZrVaK7ZwHHjRyZWjbDl", "challenge": challenge, "type": "url_verification"}
    verification(file, sign, asked, handshake("text/plain; charset=utf-8", challenge), "challenge", other)
    return file


def verification(file, sign, asked, answer, member, other):
    """A signed handshake: right, unsigned, signed with another secret, malformed."""
    body = compact(asked)
    file.case("a handshake", answer, sign(body, file.secret, NOW), body)
    file.case("a handshake, unsigned", refusal("missing_signature"), [], body)
    file.case("a handshake, signed with another secret", refusal("wrong_signature"), sign(body, other, NOW), body)
    file.case("a handshake, changed on the way", refusal("wrong_signature"), sign(body, file.secret, NOW),
              flipped(body))
    file.case("a handshake without a secret", refusal("no_secret"), sign(body, file.secret, NOW), body, secrets=[])
    file.case("a handshake while secrets change", answer, sign(body, file.secret, NOW), body,
              secrets=[other, file.secret])
    twice = body[:-1] + b"," + body[1:]
    file.case("a handshake with its names twice", unreadable("malformed_body"), sign(twice, file.secret, NOW), twice)
    if member:
        for about, value in [("nothing", None), ("a number", 7), ("an empty text", ""), ("an object", {"a": "b"}),
                             ("far too much", "x" * 5000)]:
            malformed = {**asked, member: value}
            if value is None:
                del malformed[member]
            malformed = compact(malformed)
            file.case(f"a handshake that wants {about} back", refusal("malformed_handshake"),
                      sign(malformed, file.secret, NOW), malformed)


def stripe():
    secret, other = "whsec_not_a_real_secret_of_stripe_1", "whsec_not_a_real_secret_of_stripe_2"
    webhook = hmac_webhook(
        "Signing secret", ["timestamp", {"text": "."}, "body"],
        {"header": "Stripe-Signature", "separator": ",", "prefix": "v1=", "encoding": "hex"},
        timestamp={"header": "Stripe-Signature", "separator": ",", "prefix": "t=", "window_seconds": 300},
        distinct=[{"pointer": "/id"}], event={"pointer": "/type"})
    file = File("stripe", webhook, secret=secret)
    scheme = lambda body, secret, at: mac(secret.encode(), b"%s.%s" % (str(at).encode(), body)).hex()

    def sign(body, secret, at):
        return [("Stripe-Signature", f"t={at},v1={scheme(body, secret, at)}")]

    paid = {"id": "evt_1NG8Du2eZvKYlo2CUI79vXWy", "object": "event", "api_version": "2026-01-28", "created": NOW,
            "data": {"object": {"id": "pi_3MtwBwLkdIwHu7ix28a3tqPa", "amount": 2000}}, "livemode": False,
            "type": "payment_intent.succeeded"}
    key = ["evt_1NG8Du2eZvKYlo2CUI79vXWy"]
    common(file, sign, paid, "payment_intent.succeeded", lambda body: key, "Stripe-Signature", other, 300)
    body = compact(paid)
    right, wrong = scheme(body, secret, NOW), scheme(body, other, NOW)
    accepted = delivery("payment_intent.succeeded", *key)
    for about, expect, header in [
        ("the test scheme beside the live one", accepted, f"t={NOW},v1={right},v0={wrong}"),
        ("the test scheme alone", refusal("malformed_signature"), f"t={NOW},v0={right}"),
        ("two signatures while secrets change, the first fits", accepted, f"t={NOW},v1={right},v1={wrong}"),
        ("two signatures while secrets change, the second fits", accepted, f"t={NOW},v1={wrong},v1={right}"),
        ("a broken signature before one that fits", accepted, f"t={NOW},v1=abc,v1={right}"),
        ("in another order", accepted, f"v1={right},t={NOW}"),
        ("with spaces", accepted, f"t={NOW}, v1={right}"),
        ("no timestamp", refusal("missing_timestamp"), f"v1={right}"),
        ("two timestamps", refusal("malformed_timestamp"), f"t={NOW},t={NOW},v1={right}"),
        ("an empty timestamp", refusal("malformed_timestamp"), f"t=,v1={right}"),
        ("eight signatures, the last fits", accepted, f"t={NOW}," + f"v1={wrong}," * 7 + f"v1={right}"),
        ("nine signatures, the last fits", refusal("malformed_signature"),
         f"t={NOW}," + f"v1={wrong}," * 8 + f"v1={right}"),
    ]:
        file.case(about, expect, [("Stripe-Signature", header)], body)
    bare = mac(base64.b64decode(secret[6:] + "="), b"%d.%s" % (NOW, body)).hex()
    file.case("the secret's `whsec_` is part of the key here", refusal("wrong_signature"),
              [("Stripe-Signature", f"t={NOW},v1={bare}")], body)
    return file


def shopify():
    secret, other = "hush_not_a_real_secret", "hush_another_that_is_not_real"
    webhook = hmac_webhook(
        "Client secret", ["body"], {"header": "X-Shopify-Hmac-SHA256", "encoding": "base64"},
        distinct=[{"header": "X-Shopify-Webhook-Id"}], event={"header": "X-Shopify-Topic"})
    file = File("shopify", webhook, secret=secret)
    named = [("X-Shopify-Topic", "orders/create"), ("X-Shopify-Shop-Domain", "example.myshopify.com"),
             ("X-Shopify-API-Version", "2026-01"), ("X-Shopify-Webhook-Id", "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"),
             ("X-Shopify-Triggered-At", "2026-10-20T14:01:04.000000000Z")]

    def sign(body, secret, at):
        return [("X-Shopify-Hmac-SHA256", b64(mac(secret.encode(), body))), *named]

    order = {"id": 820982911946154508, "email": "jon@example.com", "name": "#9999", "total_price": "199.65"}
    key = ["b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"]
    common(file, sign, order, "orders/create", lambda body: key, "X-Shopify-Hmac-SHA256", other)
    # One whose base64 has both of the characters that the alphabets differ in.
    number = next(number for number in range(10**6) if {"+", "/"} <= set(
        b64(mac(secret.encode(), compact({**order, "number": number})))))
    body = compact({**order, "number": number})
    tag = mac(secret.encode(), body)
    headers = sign(body, secret, NOW)
    for about, expect, text in [
        ("base64 of the standard alphabet", delivery("orders/create", *key), b64(tag)),
        ("base64 without padding", delivery("orders/create", *key), b64(tag).rstrip("=")),
        ("base64 of the URL alphabet", delivery("orders/create", *key), base64.urlsafe_b64encode(tag).decode()),
        ("base64 of both alphabets", refusal("malformed_signature"), b64(tag).replace("+", "-")),
        ("hexadecimal digits", refusal("malformed_signature"), tag.hex()),
        ("base64 of hexadecimal digits", refusal("malformed_signature"), b64(tag.hex().encode())),
    ]:
        file.case(about, expect, replaced(headers, "X-Shopify-Hmac-SHA256", text), body)
    file.case("the same id twice is the same delivery, whatever the body's hash", delivery("orders/create", *key),
              headers, body)
    return file


def standard_webhooks():
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    other = "whsec_" + b64(seed("standard webhooks"))
    webhook = hmac_webhook(
        "Signing secret", [{"header": "webhook-id"}, {"text": "."}, "timestamp", {"text": "."}, "body"],
        {"header": "webhook-signature", "separator": " ", "prefix": "v1,", "encoding": "base64"},
        timestamp={"header": "webhook-timestamp", "window_seconds": 300},
        secret={"prefix": "whsec_", "encoding": "base64"},
        distinct=[{"header": "webhook-id"}], event={"pointer": "/type"})
    file = File("standard-webhooks", webhook, secret=secret)
    scheme = lambda body, secret, at, identifier: "v1," + b64(mac(
        base64.b64decode(secret.removeprefix("whsec_")), b"%s.%s.%s" % (identifier.encode(), str(at).encode(), body)))
    standard(file, scheme, secret, other, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "v1,", "v1a,")
    body = compact({"type": "user.created"})
    headers = lambda secret: [("webhook-id", "msg_1"), ("webhook-timestamp", str(NOW)),
                              ("webhook-signature", scheme(body, secret, NOW, "msg_1"))]
    file.case("the secret without its prefix", delivery("user.created", "msg_1"), headers(secret), body,
              secrets=[secret.removeprefix("whsec_")])
    file.case("a secret that is no base64", refusal("unusable_secret"), headers(secret), body, secrets=["whsec_!"])
    file.case("a secret of nothing but its prefix", refusal("unusable_secret"), headers(secret), body,
              secrets=["whsec_"])
    file.case("a secret that is no base64 beside a good one", delivery("user.created", "msg_1"), headers(secret), body,
              secrets=["whsec_!", secret])
    return file


def standard_webhooks_ed25519():
    known = base64.b64decode("6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=")
    public = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
    assert public == "whpk_" + b64(ed25519_public(known))
    unknown = seed("standard webhooks")
    seeds = {public: known, "whpk_" + b64(ed25519_public(unknown)): unknown}
    other = list(seeds)[1]
    webhook = {
        "name": "default",
        "secret": {"owner": "integration", "title": "Public key", "prefix": "whpk_", "encoding": "base64"},
        "verify": {
            "kind": "ed25519",
            "message": [{"header": "webhook-id"}, {"text": "."}, "timestamp", {"text": "."}, "body"],
            "signature": {"header": "webhook-signature", "separator": " ", "prefix": "v1a,", "encoding": "base64"},
            "timestamp": {"header": "webhook-timestamp", "window_seconds": 300},
        },
        "distinct": [{"header": "webhook-id"}],
        "event": {"pointer": "/type"},
    }
    file = File("standard-webhooks-ed25519", webhook, path="standard-webhooks", secret=public)
    scheme = lambda body, key, at, identifier: "v1a," + b64(ed25519(
        seeds[key], b"%s.%s.%s" % (identifier.encode(), str(at).encode(), body)))
    standard(file, scheme, public, other,
             "hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==", "v1a,", "v1,")
    file.case("a key of 31 bytes", refusal("unusable_secret"), [("webhook-signature", "v1a,AAAA")], b"{}",
              secrets=["whpk_" + b64(bytes(31))])
    file.case("a key that lies on no curve", refusal("wrong_signature"),
              [("webhook-id", "msg_1"), ("webhook-timestamp", str(NOW)), ("webhook-signature", "v1a," + b64(bytes(64)))],
              b"{}", secrets=["whpk_" + b64(b"\xff" * 32)])
    return file


def standard(file, scheme, secret, other, published, ours, theirs):
    sign = lambda body, secret, at, identifier="msg_2KWPBgLlAfxdpx2AI54pPJ85f4W": [
        ("webhook-id", identifier), ("webhook-timestamp", str(at)),
        ("webhook-signature", scheme(body, secret, at, identifier))]
    created = {"type": "user.created", "timestamp": "2026-10-20T14:01:04Z", "data": {"id": "1f81eb52"}}
    key = ["msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"]
    common(file, sign, created, "user.created", lambda body: key, "webhook-signature", other, 300, "webhook-timestamp")
    headers = [("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"), ("webhook-timestamp", "1614265330"),
               ("webhook-signature", ours + published)]
    body = b'{"test": 2432232314}'
    assert scheme(body, secret, 1614265330, "msg_p5jXN8AQM9LWM0D4loKWxJek") == ours + published
    accepted = delivery(None, "msg_p5jXN8AQM9LWM0D4loKWxJek")
    case = lambda about, expect, headers=headers, **more: file.case(about, expect, headers, body, now=1614265330, **more)
    case("published", accepted)
    wrong = scheme(body, other, 1614265330, "msg_p5jXN8AQM9LWM0D4loKWxJek")
    for about, expect, text in [
        ("several signatures, the first fits", accepted, f"{ours}{published} {wrong}"),
        ("several signatures, the last fits", accepted, f"{wrong} {ours}Y3V0 {ours}{published}"),
        ("of another version", refusal("malformed_signature"), theirs + published),
        ("of no version", refusal("malformed_signature"), published),
        ("beside one of another version", accepted, f"{theirs}{published} {ours}{published}"),
        ("two spaces between", accepted, f"{wrong}  {ours}{published}"),
    ]:
        case(f"published, {about}", expect, replaced(headers, "webhook-signature", text))
    case("published, under another id", refusal("wrong_signature"), replaced(headers, "webhook-id", "msg_other"))
    case("published, without an id", refusal("missing_header", name="webhook-id"), without(headers, "webhook-id"))
    case("published, under two ids", refusal("doubled_header", name="webhook-id"),
         headers + [("webhook-id", "msg_other")])
    numbered = compact({"type": "user.created", "id": 7})
    file.case("an id without points is no more than text", delivery("user.created", "msg.1"),
              sign(numbered, secret, NOW, "msg.1"), numbered)


def meta():
    secret, other = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
    webhook = hmac_webhook(
        "App secret", ["body"], {"header": "X-Hub-Signature-256", "prefix": "sha256=", "encoding": "hex"},
        handshake_secret={"owner": "integration", "title": "Verify Token"}, event={"pointer": "/object"},
        handshakes=[{
            "method": "GET",
            "when": [{"at": {"query": "hub.mode"}, "equals": "subscribe"},
                     {"at": {"query": "hub.verify_token"}, "secret": True}],
            "signed": False,
            "answer": {"text": {"query": "hub.challenge"}},
        }])
    file = File("meta", webhook, secret=secret)

    def sign(body, secret, at):
        return [("X-Hub-Signature-256", "sha256=" + mac(secret.encode(), body).hex())]

    page = {"object": "page", "entry": [{"id": "112233", "time": NOW, "changes": [{"field": "feed"}]}]}
    common(file, sign, page, "page", lambda body: [sha256(body)], "X-Hub-Signature-256", other)
    # Meta writes and signs escapes, in lower case: the bytes are what is signed, so nothing has to be known of it.
    escaped = b'{"object":"page","entry":[{"id":"0","text":"\\u00e4\\u00f6\\u00e5"}]}'
    file.case("escapes as Meta writes them", delivery("page", sha256(escaped)), sign(escaped, secret, NOW), escaped)
    plain = json.dumps(json.loads(escaped), separators=(",", ":"), ensure_ascii=False).encode()
    file.case("the same without escapes", refusal("wrong_signature"), sign(escaped, secret, NOW), plain)

    get = lambda about, expect, query, tokens=("meatyhamhock",), **more: file.case(
        about, expect, query=query, method="GET", content_type=None, handshake_secrets=list(tokens), **more)
    asked = "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meatyhamhock"
    answer = handshake("text/plain; charset=utf-8", "1158201444")
    get("a handshake", answer, asked)
    get("a handshake, its parameters in another order and encoded", answer,
        "?hub.verify_token=meaty%68amhock&hub%2Emode=subscribe&hub.challenge=1158201444")
    get("a handshake with another token", refusal("wrong_handshake_secret"), asked.replace("meaty", "leafy"))
    get("a handshake with a longer token", refusal("wrong_handshake_secret"), asked + "x")
    get("a handshake with an empty token", refusal("wrong_handshake_secret"), asked.replace("meatyhamhock", ""))
    get("a handshake without a token", refusal("wrong_handshake_secret"), asked.rsplit("&", 1)[0])
    get("a handshake with the token twice", refusal("wrong_handshake_secret"), asked + "&hub.verify_token=meatyhamhock")
    get("a handshake with the key that signs deliveries", refusal("wrong_handshake_secret"),
        asked.replace("meatyhamhock", secret))
    get("a handshake while tokens change", answer, asked, ["leafyhamhock", "meatyhamhock"])
    get("a handshake without a secret for it", refusal("no_secret"), asked, [])
    get("a handshake where the secret for it is empty", refusal("no_secret"), asked.replace("meatyhamhock", ""), [""])
    get("a handshake without a secret for deliveries", refusal("no_secret"), asked, secrets=[])
    get("a handshake without a challenge", refusal("malformed_handshake"),
        "?hub.mode=subscribe&hub.verify_token=meatyhamhock")
    get("a handshake with an empty challenge", refusal("malformed_handshake"), asked.replace("1158201444", ""))
    get("a handshake with two challenges", refusal("malformed_handshake"), asked + "&hub.challenge=1")
    get("a handshake that would be an echo", refusal("malformed_handshake"), asked.replace("1158201444", "x" * 5000))
    get("a challenge with markup stays text", handshake("text/plain; charset=utf-8", "<script>alert(1)</script>"),
        asked.replace("1158201444", "%3Cscript%3Ealert(1)%3C/script%3E"))
    get("another mode is no handshake, and no delivery comes by GET", refusal("wrong_method"),
        asked.replace("subscribe", "unsubscribe"))
    get("GET without a query", refusal("wrong_method"), "")
    file.case("a handshake by POST is a delivery without a signature", refusal("missing_signature"), query=asked,
              body=b"{}", handshake_secrets=["meatyhamhock"])
    return file


def microsoft_graph():
    secret, other = "secretClientState-not-a-real-one", "secretClientState-another-one"
    webhook = {
        "name": "default",
        "secret": {"owner": "subscription", "title": "Client state"},
        "verify": {"kind": "shared_secret", "at": {"pointer": "/value/*/clientState"}},
        "distinct": ["body_hash"],
        "handshakes": [{"when": [{"at": {"query": "validationToken"}}], "signed": False,
                        "answer": {"text": {"query": "validationToken"}}}],
    }
    file = File("microsoft-graph", webhook, secret=secret)

    def item(state, number=1):
        return {"id": f"lsgTZMr9KwAAA{number}", "subscriptionId": "76222963-cc7b-42d2-882d-8aaa69cb2ba3",
                "clientState": state, "changeType": "created", "resource": f"Users/{NON_ASCII}/Messages/{number}"}

    def case(about, expect, *states, body=None, **more):
        body = compact({"value": [item(state, number) for number, state in enumerate(states)]}) if body is None else body
        file.case(about, expect(body) if callable(expect) else expect, body=body, **more)

    accepted = lambda body: delivery(None, sha256(body))
    case("a notification", accepted, secret)
    case("several notifications", accepted, secret, secret, secret)
    case("another client state", refusal("wrong_shared_secret"), other)
    case("one of several has another client state", refusal("wrong_shared_secret"), secret, other, secret)
    case("the last of several has another client state", refusal("wrong_shared_secret"), secret, secret, other)
    for about, state in [("null", None), ("a number", 7), ("an object", {"is": secret}), ("a list", [secret]),
                         ("empty", ""), ("longer", secret + "x"), ("shorter", secret[:-1]), ("in capitals", secret.upper())]:
        case(f"a client state that is {about}", refusal("wrong_shared_secret"), state)
    bare = item(secret)
    del bare["clientState"]
    case("no client state", refusal("missing_shared_secret"), body=compact({"value": [bare]}))
    case("one of several has none", refusal("wrong_shared_secret"), body=compact({"value": [item(secret), bare]}))
    case("the first of several has none", refusal("wrong_shared_secret"), body=compact({"value": [bare, item(secret)]}))
    case("an item that is no object", refusal("wrong_shared_secret"), body=compact({"value": [item(secret), "x"]}))
    case("no notifications", refusal("missing_shared_secret"), body=b'{"value":[]}')
    case("the secret in another place", refusal("missing_shared_secret"), body=compact({"clientState": secret}))
    case("an object instead of the list", refusal("missing_shared_secret"),
         body=compact({"value": {"*": item(secret)}}))
    case("no object", refusal("missing_shared_secret"), body=b"[]")
    case("a client state twice", refusal("malformed_body"),
         body=('{"value":[{"clientState":"%s","clientState":"%s"}]}' % (other, secret)).encode())
    case("two lists", refusal("malformed_body"),
         body=compact({"value": [item(secret)]})[:-1] + b',"value":[{"clientState":"x"}]}')
    case("the name with escapes is the same name", accepted,
         body=('{"value":[{"client\\u0053tate":"%s"}]}' % secret).encode())
    case("written in another way: there is no signature to break", accepted,
         body=json.dumps({"value": [item(secret)]}, indent=1).encode())
    case("empty", refusal("malformed_body"), body=b"")
    case("not JSON", refusal("malformed_body"), body=b"value")
    case("no secret", refusal("no_secret"), secret, secrets=[])
    case("an empty secret is none", refusal("unusable_secret"), "", secrets=[""])
    case("while secrets change: the old one", accepted, secret, secrets=[other, secret])
    case("while secrets change: both in one request", accepted, secret, other, secrets=[other, secret])
    case("while secrets change: a third one", refusal("wrong_shared_secret"), secret, "third", secrets=[other, secret])
    case("after it: the old one", refusal("wrong_shared_secret"), secret, secrets=[other])
    case("as text", refusal("wrong_content_type"), secret, content_type="text/plain")
    case("by PUT", refusal("wrong_method"), secret, method="PUT")
    shown, deep = parts('{"value":', {"repeat": "[", "times": 200000})
    case("200,000 levels deep", refusal("malformed_body"), body=shown)

    token = "?validationToken=Validation%3a+Testing+client+application+reachability+for+subscription+Request-Id%3a" \
            "+522a8e7e-096a-494c-aaf1-ac0dcfca45b7"
    text = "Validation: Testing client application reachability for subscription Request-Id: " \
           "522a8e7e-096a-494c-aaf1-ac0dcfca45b7"
    ask = lambda about, expect, query=token, **more: file.case(
        about, expect, query=query, content_type="text/plain; charset=utf-8", **more)
    ask("a handshake: the token decoded", handshake("text/plain; charset=utf-8", text))
    ask("a handshake, other parameters beside the token", handshake("text/plain; charset=utf-8", text),
        "?a=b&" + token[1:])
    ask("a handshake without a secret", refusal("no_secret"), secrets=[])
    ask("a handshake with an empty token", refusal("malformed_handshake"), "?validationToken=")
    ask("a handshake with two tokens", refusal("malformed_handshake"), token + "&validationToken=x")
    ask("a handshake that would be an echo", refusal("malformed_handshake"), "?validationToken=" + "x" * 5000)
    ask("a handshake by GET", refusal("wrong_method"), method="GET")
    ask("the parameter's name in lower case is another name", refusal("wrong_content_type"), token.lower())
    return file


def discord():
    known, unknown = seed("discord"), seed("another discord")
    seeds = {ed25519_public(known).hex(): known, ed25519_public(unknown).hex(): unknown}
    secret, other = list(seeds)
    webhook = {
        "name": "default",
        "secret": {"owner": "integration", "title": "Public Key", "encoding": "hex"},
        "verify": {
            "kind": "ed25519",
            "message": ["timestamp", "body"],
            "signature": {"header": "X-Signature-Ed25519", "encoding": "hex"},
            "timestamp": {"header": "X-Signature-Timestamp", "window_seconds": 300},
        },
        "distinct": [{"pointer": "/id"}],
        "event": {"pointer": "/type"},
        "handshakes": [{"when": [{"at": {"pointer": "/type"}, "equals": "1"}], "signed": True,
                        "answer": {"json": {"type": {"fixed": 1}}}}],
    }
    file = File("discord", webhook, secret=secret)

    def sign(body, key, at):
        return [("X-Signature-Ed25519", ed25519(seeds[key], str(at).encode() + body).hex()),
                ("X-Signature-Timestamp", str(at))]

    command = {"id": "786008729715212338", "application_id": "775799577604522054", "type": 2,
               "data": {"name": "cardsearch"}, "token": "A_UNIQUE_TOKEN", "version": 1}
    common(file, sign, command, "2", lambda body: ["786008729715212338"], "X-Signature-Ed25519", other, 300,
           "X-Signature-Timestamp")
    body = compact(command)
    headers = sign(body, secret, NOW)
    accepted = delivery("2", "786008729715212338")
    file.case("digits in upper case", accepted,
              replaced(headers, "X-Signature-Ed25519", value_of(headers, "X-Signature-Ed25519").upper()), body)
    file.case("a public key in upper case", accepted, headers, body, secrets=[secret.upper()])
    file.case("a public key that is cut short", refusal("unusable_secret"), headers, body, secrets=[secret[:-2]])
    # Nothing stands between timestamp and body, so a digit could be taken for one of either.
    moved = [("X-Signature-Ed25519", value_of(headers, "X-Signature-Ed25519")), ("X-Signature-Timestamp", str(NOW)[:-1])]
    file.case("a digit of the timestamp moved into the body", refusal("stale", age_seconds=NOW - NOW // 10), moved,
              str(NOW)[-1:].encode() + body)
    verification(file, sign, {"application_id": "775799577604522054", "id": "1", "type": 1, "version": 1},
                 handshake("application/json", {"type": 1}), None, other)
    return file


def grammar():
    """What the grammar has and none of the providers above shows."""
    key = b"not a real key, but one of bytes"
    file = File("grammar", hmac_webhook("Key", ["body"], {"header": "x-signature", "encoding": "hex"}),
                secret=key.decode())
    body = b'{"id":"a","type":"b"}'
    accepted = delivery(None, sha256(body))

    def case(about, expect, webhook, headers=(), body=body, **more):
        file.case(about, expect, headers, body, webhook=webhook, **more)

    signature = {"header": "x-signature", "encoding": "hex"}
    for digest in ["sha1", "sha256", "sha512"]:
        webhook = hmac_webhook("Key", ["body"], signature, hash=digest)
        tag = mac(key, body, digest)
        case(f"an HMAC with {digest}", accepted, webhook, [("x-signature", tag.hex())])
        case(f"an HMAC with {digest}, cut to half", refusal("malformed_signature"), webhook,
             [("x-signature", tag.hex()[:len(tag)])])
    for about, encoding, text in [
        ("hexadecimal digits", "hex", key.hex()),
        ("hexadecimal digits in upper case", "hex", key.hex().upper()),
        ("base64", "base64", b64(key)),
        ("base64 without padding", "base64", b64(key).rstrip("=")),
    ]:
        webhook = hmac_webhook("Key", ["body"], signature, secret={"encoding": encoding})
        case(f"a key written as {about}", accepted, webhook, [("x-signature", mac(key, body).hex())],
             secrets=[text])
    raw = bytes(range(256))
    webhook = hmac_webhook("Key", ["body"], signature, secret={"encoding": "base64"})
    case("a key of all bytes, in the URL alphabet", accepted, webhook, [("x-signature", mac(raw, body).hex())],
         secrets=[base64.urlsafe_b64encode(raw).decode()])
    webhook = hmac_webhook("Key", ["body"], signature, secret={"encoding": "hex"})
    case("a key of an odd number of digits", refusal("unusable_secret"), webhook, [], secrets=["abc"])

    # Method and address are signed too, as HubSpot does it, with a timestamp in milliseconds.
    webhook = hmac_webhook(
        "Client secret", ["method", "url", "body", "timestamp"],
        {"header": "x-hubspot-signature-v3", "encoding": "base64"},
        timestamp={"header": "x-hubspot-request-timestamp", "unit": "milliseconds", "window_seconds": 300},
        event={"pointer": "/0/subscriptionType"})
    listed = b'[{"eventId":1,"subscriptionType":"contact.creation"}]'

    def sign(method, url, at, body=listed):
        message = method.encode() + url.encode() + body + str(at).encode()
        return [("x-hubspot-signature-v3", b64(mac(key, message))), ("x-hubspot-request-timestamp", str(at))]

    url = file.url + "?a=%20b"
    at = NOW * 1000 + 7
    found = delivery("contact.creation", sha256(listed))
    case("method and address are signed", found, webhook, sign("POST", url, at), listed, query="?a=%20b")
    case("another address", refusal("wrong_signature"), webhook, sign("POST", url, at), listed, query="?a=+b")
    case("another method", refusal("wrong_signature"), webhook, sign("PUT", url, at), listed, query="?a=%20b")
    case("milliseconds: the last that are in time", found, webhook, sign("POST", url, at), listed, query="?a=%20b",
         now=NOW + 300.007)
    case("milliseconds: the first that are not", refusal("stale", age_seconds=301), webhook, sign("POST", url, at), listed,
         query="?a=%20b", now=NOW + 300.008)
    case("seconds where milliseconds are declared", refusal("stale", age_seconds=NOW - NOW // 1000), webhook,
         sign("POST", url, NOW), listed, query="?a=%20b")
    case("a list may be an event where the manifest says so", delivery(None, sha256(b"[{}]")), webhook,
         sign("POST", url, at, b"[{}]"), b"[{}]", query="?a=%20b")
    case("a text is none", unreadable("malformed_body"), webhook, sign("POST", url, at, b'"x"'), b'"x"', query="?a=%20b")

    shared = lambda at, **more: {
        "name": "default", "secret": {"owner": "integration", "title": "Token"},
        "verify": {"kind": "shared_secret", "at": at}, "distinct": ["body_hash"], **more}
    webhook = shared({"header": "X-Gitlab-Token"})
    case("a secret in a header", accepted, webhook, [("X-Gitlab-Token", key.decode())])
    case("another secret in a header", refusal("wrong_shared_secret"), webhook, [("X-Gitlab-Token", "x")])
    case("no secret in a header", refusal("missing_shared_secret"), webhook)
    case("an empty secret in a header", refusal("missing_shared_secret"), webhook, [("X-Gitlab-Token", "")])
    case("a secret in two headers", refusal("doubled_header", name="X-Gitlab-Token"), webhook,
         [("X-Gitlab-Token", key.decode()), ("X-Gitlab-Token", key.decode())])
    webhook = shared({"query": "token"})
    case("a secret in the address", accepted, webhook, query="?token=not+a+real%20key,+but+one+of+bytes")
    case("a secret in the address, twice", accepted, webhook,
         query="?token=not+a+real%20key,+but+one+of+bytes&token=not+a+real%20key,+but+one+of+bytes")
    case("a secret in the address, and another", refusal("wrong_shared_secret"), webhook,
         query="?token=not+a+real%20key,+but+one+of+bytes&token=x")
    case("a secret in the fragment", refusal("missing_shared_secret"), webhook,
         query="#?token=not+a+real%20key,+but+one+of+bytes")
    webhook = shared({"pointer": "/id"})
    case("a secret in the body", accepted, webhook, secrets=["a"])
    case("a number is no secret", refusal("wrong_shared_secret"), webhook, body=b'{"id":7}', secrets=["7"])

    several = hmac_webhook("Key", ["body"], signature, distinct=[
        {"pointer": "/id"}, {"pointer": "/number"}, {"query": "q"}, {"header": "x-id"}], event={"pointer": "/a~1b/0"})
    told = b'{"id":"a","number":123456789012345678901234567890,"a/b":["first"]}'
    tag = lambda body: [("x-signature", mac(key, body).hex())]
    case("told apart by several values; no digit of a long number is lost",
         delivery("first", "a", "123456789012345678901234567890", "b c", "d"), several,
         tag(told) + [("x-id", "d")], told, query="?q=b+c")
    for about, query, header in [("one missing", "", "d"), ("one empty", "?q=", "d"), ("one twice", "?q=b&q=c", "d"),
                                 ("another missing", "?q=b", "")]:
        case(f"told apart by several values, {about}: the body's hash takes the place of all",
             delivery("first", sha256(told)), several, tag(told) + [("x-id", header)], told, query=query)
    fraction = b'{"id":"a","number":1.5,"a/b":[]}'
    case("a fraction tells nothing apart", delivery(None, sha256(fraction)), several,
         tag(fraction) + [("x-id", "d")], fraction, query="?q=b")

    custom = {"name": "default", "secret": {"owner": "integration", "title": "Webhook id"}, "verify": {"kind": "custom"},
              "distinct": ["body_hash"]}
    case("what only the connector can check", refusal("needs_connector"), custom)
    case("what only the connector can check, without a secret", refusal("no_secret"), custom, secrets=[])
    case("what only the connector can check, of another type", refusal("needs_connector"), custom,
         content_type="text/plain")

    # Two handshakes beside each other: what is not signed is tried first, and an HMAC needs a secret.
    shaking = hmac_webhook("Key", ["body"], signature, handshake_secret={"owner": "integration", "title": "Token"}, handshakes=[
        {"when": [{"at": {"pointer": "/type"}, "equals": "signed"}], "signed": True,
         "answer": {"json": {"ok": {"fixed": True}, "back": {"echo": {"header": "x-challenge"}}}}},
        {"when": [{"at": {"pointer": "/type"}}, {"at": {"pointer": "/token"}, "secret": True}], "signed": False,
         "answer": {"json": {"hash": {"hmac": {"hash": "sha1", "of": {"pointer": "/c"}, "encoding": "base64"}}}}},
    ])
    asked = b'{"type":"x","token":"t","c":"d"}'
    hashed = handshake("application/json", {"hash": b64(mac(key, b"d", "sha1"))})
    case("a handshake in the body that is not signed", hashed, shaking, body=asked, handshake_secrets=["t"])
    case("a handshake in the body with another secret", refusal("wrong_handshake_secret"), shaking, body=asked,
         handshake_secrets=["u"])
    twice = b'{"type":"x","token":"t","c":"d","c":"e"}'
    case("a handshake in the body with a name twice, which proves nothing", refusal("malformed_body"), shaking, body=twice,
         handshake_secrets=["t"])
    case("a handshake in the body of another type", refusal("missing_signature"), shaking, body=asked,
         handshake_secrets=["t"], content_type="text/plain")
    number = b'{"type":"x","token":"7","c":"d"}'
    case("a number is no handshake's secret", refusal("wrong_handshake_secret"), shaking,
         body=number.replace(b'"7"', b"7"), handshake_secrets=["7"])
    plain = b'{"c":"d"}'
    case("a delivery beside handshakes", delivery(None, sha256(plain)), shaking, tag(plain), plain,
         handshake_secrets=["t"])
    only = copy.deepcopy(shaking)
    del only["handshakes"][1], only["handshake_secret"]
    asked = b'{"type":"signed"}'
    back = handshake("application/json", {"ok": True, "back": "hello"})
    case("a signed handshake that sends a header back", back, only, tag(asked) + [("x-challenge", "hello")], asked)
    case("a signed handshake without that header", refusal("malformed_handshake"), only, tag(asked), asked)
    case("a signed handshake with that header twice", refusal("doubled_header", name="x-challenge"), only,
         tag(asked) + [("x-challenge", "hello"), ("x-challenge", "hello")], asked)
    case("a signed handshake, unsigned", refusal("missing_signature"), only, [("x-challenge", "hello")], asked)
    by_get = copy.deepcopy(only)
    by_get["verify"]["message"] = ["url", "body"]
    by_get["handshakes"] = [{"method": "GET", "when": [{"at": {"query": "crc"}}], "signed": True,
                             "answer": {"text": {"query": "crc"}}}]
    signed_url = lambda query: [("x-signature", mac(key, (file.url + query).encode()).hex())]
    case("a signed handshake by GET, without a body and its type", handshake("text/plain; charset=utf-8", "a b"), by_get,
         signed_url("?crc=a%20b"), b"", method="GET", query="?crc=a%20b", content_type=None)
    case("a signed handshake by POST where it comes by GET", unreadable("malformed_body"), by_get, signed_url("?crc=a%20b"),
         b"", query="?crc=a%20b")
    case("a signed request by GET that is no handshake", refusal("wrong_method"), by_get, signed_url("?c=a"), b"",
         method="GET", query="?c=a", content_type=None)
    case("a request by GET with a body of no type", refusal("wrong_signature"), by_get, signed_url("?crc=a"), b"{}",
         method="GET", query="?crc=a", content_type=None)
    case("neither a body nor a type, by POST", unreadable("wrong_content_type"), by_get, signed_url("?c=a"), b"",
         query="?c=a", content_type=None)
    return file


FILES = [zoom, github, slack, stripe, shopify, standard_webhooks, standard_webhooks_ed25519, meta, microsoft_graph, discord,
         grammar]


def main():
    stale = []
    for make in FILES:
        file = make()
        path = HERE / f"{file.name}.json"
        if sys.argv[1:] == ["--check"]:
            if not path.exists() or path.read_text() != file.text():
                stale.append(path.name)
        else:
            path.write_text(file.text())
            print(f"{path.name}: {len(file.cases)} cases")
    if stale:
        sys.exit(f"not what make.py writes: {', '.join(stale)}")


if __name__ == "__main__":
    main()
