//! Runs a command on a kernel that lacks something: `lacking landlock memfd -- COMMAND ARGUMENTS`.
//!
//! What is lacking is refused by a filter that the command, and all that it starts, cannot take off again.

use std::{collections::BTreeMap, env, os::unix::process::CommandExt, process::Command};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

fn main() {
    let mut words = env::args().skip(1);
    for lacking in words.by_ref().take_while(|word| word != "--") {
        let (call, error) = match lacking.as_str() {
            "landlock" => (libc::SYS_landlock_create_ruleset, libc::ENOSYS),
            "memfd" => (libc::SYS_memfd_create, libc::EPERM),
            other => panic!("`{other}` cannot be taken away"),
        };
        refuse(call, error);
    }
    let program = words.next().expect("there is a command");
    let failed = Command::new(program).args(words).exec();
    panic!("the command does not run: {failed}");
}

fn refuse(call: i64, error: i32) {
    let refuse = SeccompAction::Errno(error.unsigned_abs());
    let arch = env::consts::ARCH.try_into().expect("there are filters for this processor");
    let filter = SeccompFilter::new(BTreeMap::from([(call, Vec::new())]), SeccompAction::Allow, refuse, arch);
    let program: BpfProgram = filter.and_then(TryInto::try_into).expect("the filter can be made");
    seccompiler::apply_filter(&program).expect("the filter can be put on");
}
