//! What is seen in a terminal and not elsewhere: tables that fit, and progress that comes and goes.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs,
    time::{Duration, Instant},
};

use jackfield_tests::{Act, Home, Provider, Simulator, Terminal, reply, skip};
use rustix::process::Signal;

const LIST: [&str; 5] = ["action", "invoke", "zoom.get_meetings", "--token-file", "token"];

fn zoom(provider: &Provider) -> Home {
    let home = Home::with(&["zoom"]);
    home.endpoint("zoom", "api", &provider.url());
    with_token(home, "a-token\n")
}

/// Beside the home, where commands run.
fn with_token(home: Home, token: &str) -> Home {
    fs::write(home.path().join("../token"), token).unwrap();
    home
}

fn terminal(home: &Home, args: &[&str]) -> Terminal {
    Terminal::start(home.command(args), 80, 12)
}

#[test]
fn what_takes_long_is_seen_until_it_is_over() {
    let (provider, let_go) = Provider::held(200, &[], r#"{"meetings": []}"#);
    let home = zoom(&provider);
    for served in [false, true] {
        let server = served.then(|| home.serve());
        let long = terminal(&home, &LIST);
        long.sees("zoom.get_meetings (");
        let_go.send(()).unwrap();
        assert_eq!(long.ends(), (0, "none".to_owned()), "served: {served}");
        // Also when it does not end well.
        let stopped = terminal(&home, &LIST);
        stopped.sees("zoom.get_meetings (");
        stopped.signal(Signal::INT);
        let (code, screen) = stopped.ends();
        assert_eq!(code, 3, "{screen}");
        assert!(
            screen.starts_with("error[cancelled]: ") && !screen.contains("zoom.get_meetings ("),
            "{screen}"
        );
        let_go.send(()).unwrap();
        drop(server);
    }
}

#[test]
fn what_it_waits_for_and_how_far_it_is_are_seen_too() {
    let provider = Provider::start(|request, before| match before {
        0 => reply(429, &[("retry-after", "3")], ""),
        _ if request.target.contains("next_page_token") => vec![Act::Pause(Duration::from_secs(60))],
        _ => reply(200, &[], r#"{"meetings": [{"id": 1}, {"id": 2}], "next_page_token": "x"}"#),
    });
    let home = zoom(&provider);
    let mut args = LIST.to_vec();
    args.push("--all");
    let terminal = terminal(&home, &args);
    terminal.sees("zoom.get_meetings: the provider");
    terminal.sees(": waiting 3 s (");
    terminal.sees("zoom.get_meetings: 1 page(s), 2 item(s) (");
    terminal.signal(Signal::INT);
    let (code, screen) = terminal.ends();
    assert_eq!((code, screen.contains("page(s)")), (3, false), "{screen}");
}

#[test]
fn what_is_quick_is_done_without_a_word() {
    let provider = Provider::always(200, &[], r#"{"meetings": []}"#);
    let home = zoom(&provider);
    // Nothing is to be seen before this. A machine that is busy may need longer, and then something may be.
    let patience = Duration::from_millis(400);
    for _ in 0..50 {
        let begun = Instant::now();
        let mut quick = terminal(&home, &LIST);
        let code = quick.waits();
        let took = begun.elapsed();
        assert_eq!((code, quick.screen().as_str()), (0, "none"));
        if took < patience {
            assert!(!quick.written().contains("zoom.get_meetings"), "{:?}", quick.written());
            return;
        }
    }
    skip("quick actions in a terminal", "this machine is too busy for anything to be quick");
}

#[test]
fn without_a_terminal_there_is_no_progress_and_long_waits_are_a_line_each() {
    let provider = Provider::start(|_, before| match before {
        // Not long enough to be told.
        0 => reply(429, &[("retry-after", "1")], ""),
        1 => reply(429, &[("retry-after", "4")], ""),
        _ => [vec![Act::Pause(Duration::from_millis(700))], reply(200, &[], r#"{"meetings": []}"#)].concat(),
    });
    let home = zoom(&provider);
    let outcome = home.run(&LIST);
    assert_eq!(outcome.code, 0);
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("zoom.get_meetings: the provider") && lines[0].ends_with(": waiting 4 s"),
        "{lines:?}"
    );
    assert_eq!(lines[1], "none");
}

/// A list: how to get it, how many rows it has, and what names them.
type List = (&'static [&'static str], usize, Vec<String>);

/// A home with long names in it, and its lists.
fn lists() -> (Simulator, Home, [List; 4]) {
    let simulator = Simulator::start(&[]);
    let home = with_token(simulator.home(), &simulator.token());
    for topic in
        ["Demo", &"A topic that is longer than most terminals are wide ".repeat(3), &"会議🎥".repeat(40)]
    {
        simulator.invoke(&home, "create_meeting", &[&format!("topic={topic}"), "type=3"], &[]).json();
    }
    let missing = simulator.invoke(&home, "get_meeting", &["meeting_id=85746065432"], &[]);
    assert_eq!(missing.code, 5);
    let names = |args: &[&str]| {
        let mut args = args.to_vec();
        args.extend(["-o", "name"]);
        home.run(&args).stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let lists = [
        (&["connector", "list"][..], 1),
        (&["action", "list"], 8),
        (&LIST, 3),
        (&["invocation", "list", "--state", "failed"], 1),
    ];
    // A table shows as much of an invocation's id as tells it apart.
    let short = |name: String| if name.starts_with("inv_") { name[..24].to_owned() } else { name };
    let names = |args: &[&str]| names(args).into_iter().map(short).collect::<Vec<String>>();
    let lists = lists.map(|(args, rows)| (args, rows, names(args)));
    (simulator, home, lists)
}

#[test]
fn a_table_fits_the_terminal_and_names_stay_whole() {
    let (_simulator, home, lists) = lists();
    for columns in [250, 80, 40] {
        for (args, rows, names) in &lists {
            let what = format!("{args:?} in {columns} columns");
            let (code, screen) = Terminal::start(home.command(args), columns, 60).ends();
            assert_eq!(code, 0, "{what}: {screen}");
            // What does not fit would go on in the next line.
            assert_eq!(screen.lines().count(), 1 + rows, "{what}:\n{screen}");
            // The id of an invocation leaves nothing for the rest of a line that is as narrow as this.
            let narrow = columns == 40 && args[0] == "invocation";
            for name in names.iter().filter(|_| !narrow) {
                assert!(screen.lines().any(|line| line.starts_with(name)), "{what}: {name}\n{screen}");
            }
        }
    }
}

#[test]
fn a_table_in_a_pipe_is_whole_and_plain() {
    let (_simulator, home, lists) = lists();
    for (args, rows, names) in &lists {
        let text = home.run(args).stdout;
        assert_eq!(text.lines().count(), 1 + rows, "{args:?}: {text}");
        assert_eq!(names.len(), *rows, "{args:?}: {names:?}");
        assert!(!text.contains(['\u{1b}', '…', '\r']), "{args:?}: {text:?}");
        assert!(text.lines().all(|line| line == line.trim_end()), "{args:?}: {text:?}");
        assert!(names.iter().all(|name| text.contains(name)), "{args:?}: {text}");
    }
    assert!(home.run(&LIST).stdout.contains(&"会議🎥".repeat(40)));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let home = Home::with(&["zoom"]);
    let coloured = |no_color: &str| {
        let mut command = home.command(&["connector", "list"]);
        command.env("NO_COLOR", no_color);
        let mut terminal = Terminal::start(command, 80, 10);
        assert_eq!(terminal.waits(), 0);
        terminal.written().contains('\u{1b}')
    };
    assert!(coloured("") && !coloured("1"));
}
