//! Claims about what is denied to sessions, beyond what the engine's own filter refuses: see `engine::launcher`.
//!
//! The inside witness is started in the same way as a session, and tries what is denied. What the host sees is that the
//! container's own processes have a filter less, and that the program which sets the filter cannot be read.

use super::claim::{Draft, some};
use super::probe::{Attempted, InsideWitness, Refusal};
use super::witness::HostWitness;
use crate::finding::Finding;
use crate::spec::Spec;

pub(super) fn judge(spec: &Spec, inside: &InsideWitness, host: &HostWitness) -> Vec<Finding> {
    let denials = spec.denials();
    let claim = |wanted: bool, id: &str, promise: &str, what| {
        wanted.then(|| {
            let mut draft = Draft::new(id, promise).hint(
                "end what runs inside and recreate the container: `cargo xtask down`, then `cargo xtask sandbox`",
            );
            launched(&mut draft, inside, host);
            tried(&mut draft, inside, what);
            draft.done()
        })
    };
    let setuid = "no session can make a setuid or setgid file (tried: chmod, fchmod, creat, open, mknod and their kind, \
                  openat2, io_uring)";
    let tracing = "no session can trace or change a process by system calls (tried: ptrace, process_vm_readv, \
                   process_vm_writev, kcmp, pidfd_getfd)";
    let claims = [
        claim(denials.setuid, "user.no-setuid-files", setuid, Attempted::Setuid),
        claim(denials.tracing, "user.no-tracing", tracing, Attempted::Tracing),
    ];
    claims.into_iter().flatten().collect()
}

/// Linux 5.9 and later say how many filters a process has.
const FILTERS: &str = "Seccomp_filters";

/// The bits of a mode by which a file can be read, and by which it can be started.
const READ: u32 = 0o444;
const START: u32 = 0o111;

/// How the witness, and so each session, came by its filter; and that nobody could be faster than the filter.
fn launched(draft: &mut Draft, inside: &InsideWitness, host: &HostWitness) {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    let mine = number(inside.process.status(FILTERS));
    let init = draft.process(host).map(|process| number(process.status(FILTERS)));
    let text = |number: Option<u32>| number.map_or("an unknown number".to_owned(), |number| number.to_string());
    draft.inside(format!("filters: {}", text(mine)));
    if let Some(init) = init {
        draft.host(format!("filters of the init: {}", text(init)));
        let more = mine.zip(init).is_none_or(|(mine, init)| mine > init);
        draft.check(more, || format!("inside there are {} filters, and the init has as many", text(mine)));
    }
    let launcher = inside.launcher.as_deref().unwrap_or("not tried");
    draft.inside(format!("the launcher, read: {launcher}"));
    draft.check(launcher == "EACCES", || {
        format!("inside, the program that sets the filter can be read or is not there ({launcher})")
    });
    match host.kernel.launcher {
        Some(mode) => {
            draft.host(format!("the launcher has mode {mode:o}"));
            let odd = mode & READ != 0 || mode & START != START;
            draft.check(!odd, || format!("the program that sets the filter has mode {mode:o}, not 111"));
        }
        None => draft.unseen("the host cannot see the program that sets the filter"),
    }
    match host.kernel.suid_dumpable.as_deref() {
        // Then a program that its user may not read can be traced all the same.
        Some("1") => {
            draft.broken("`fs.suid_dumpable` is 1 on this host: a session can be traced before its filter is set")
        }
        Some(value) => draft.host(format!("fs.suid_dumpable {value}")),
        None => draft.unseen("the host cannot read `/proc/sys/fs/suid_dumpable`"),
    }
}

/// The least number of calls that are refused with EPERM: a kernel without a call answers ENOSYS by itself.
const REFUSED: usize = 3;

fn tried(draft: &mut Draft, inside: &InsideWitness, what: Attempted) {
    let tried = inside.refusals.iter().flatten().filter(|Refusal(group, ..)| *group == what);
    let (mut refused, mut reached) = (0, Vec::new());
    for Refusal(_, call, answer) in tried {
        match answer.as_str() {
            "EPERM" => refused += 1,
            // The filter says of a call that it is not there where its arguments cannot be seen; so does a kernel.
            "ENOSYS" | "absent" => {}
            _ => reached.push(format!("{call}: {answer}")),
        }
    }
    draft.inside(format!("{refused} calls refused, not refused: {}", some(&reached)));
    draft.check(reached.is_empty(), || format!("inside these calls are not denied: {}", some(&reached)));
    if refused < REFUSED && reached.is_empty() {
        draft.unseen(format!("inside, only {refused} calls were seen to be denied"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, good, with};
    use super::*;
    use crate::finding::Verdict;
    use crate::spec::settings::Ptrace;

    /// A sandbox of root in which tracing is denied too, as both witnesses see it.
    fn denying() -> (Spec, InsideWitness, HostWitness) {
        let (mut spec, mut inside, mut host) = good();
        (spec.uid, spec.shape.ptrace) = (0, Ptrace::Deny);
        inside.process.status = with(&inside.process.status, FILTERS, "2");
        inside.launcher = Some("EACCES".into());
        let answers = [
            (Attempted::Setuid, "chmod", "EPERM"),
            (Attempted::Setuid, "fchmod", "EPERM"),
            (Attempted::Setuid, "openat", "EPERM"),
            (Attempted::Setuid, "openat2", "ENOSYS"),
            (Attempted::Tracing, "ptrace", "EPERM"),
            (Attempted::Tracing, "kcmp", "EPERM"),
            (Attempted::Tracing, "pidfd_getfd", "EPERM"),
        ];
        let answers = answers.map(|(what, call, answer)| Refusal(what, call.into(), answer.into()));
        inside.refusals.as_mut().unwrap().extend(answers);
        host.kernel.launcher = Some(0o111);
        host.kernel.suid_dumpable = Some("0".into());
        (spec, inside, host)
    }

    fn verdicts((spec, inside, host): &(Spec, InsideWitness, HostWitness)) -> Vec<(String, Verdict)> {
        judge(spec, inside, host).into_iter().map(|claim| (claim.id, claim.verdict)).collect()
    }

    fn both(verdict: Verdict) -> Vec<(String, Verdict)> {
        ["user.no-setuid-files", "user.no-tracing"].map(|id| (id.to_owned(), verdict)).to_vec()
    }

    #[test]
    fn what_is_denied_has_a_claim_and_nothing_else_has() {
        assert_eq!(verdicts(&denying()), both(Verdict::Held));
        let mut only = denying();
        only.0.shape.ptrace = Ptrace::Allow;
        assert_eq!(verdicts(&only), [("user.no-setuid-files".to_owned(), Verdict::Held)]);
        assert_eq!(verdicts(&good()), []);
    }

    #[test]
    fn each_fact_about_the_launcher_breaks_both_claims() {
        let cases: Vec<Case> = vec![
            Box::new(|_, inside, _| inside.process.status = with(&inside.process.status, FILTERS, "1")),
            Box::new(|_, inside, _| inside.launcher = Some("read".into())),
            Box::new(|_, inside, _| inside.launcher = Some("ENOENT".into())),
            Box::new(|_, inside, _| inside.launcher = None),
            Box::new(|_, _, host| host.kernel.launcher = Some(0o755)),
            Box::new(|_, _, host| host.kernel.launcher = Some(0o600)),
            Box::new(|_, _, host| host.kernel.launcher = Some(0o100)),
            Box::new(|_, _, host| host.kernel.suid_dumpable = Some("1".into())),
        ];
        for (number, case) in cases.iter().enumerate() {
            let mut all = denying();
            case(&mut all.0, &mut all.1, &mut all.2);
            assert_eq!(verdicts(&all), both(Verdict::Broken), "case {number}");
        }
        let cases: Vec<Case> = vec![
            Box::new(|_, _, host| host.process = Err("the engine runs elsewhere".into())),
            Box::new(|_, _, host| host.kernel.launcher = None),
            Box::new(|_, _, host| host.kernel.suid_dumpable = None),
            Box::new(|_, inside, _| inside.refusals = None),
        ];
        for (number, case) in cases.iter().enumerate() {
            let mut all = denying();
            case(&mut all.0, &mut all.1, &mut all.2);
            assert_eq!(verdicts(&all), both(Verdict::NotProvable), "case {number}");
        }
    }

    #[test]
    fn a_call_that_gets_through_breaks_its_claim_and_no_other() {
        for (what, at) in [(Attempted::Setuid, 0), (Attempted::Tracing, 1)] {
            for answer in ["ENOENT", "EBADF", "done", "EINVAL", "ESRCH"] {
                let mut all = denying();
                all.1.refusals.as_mut().unwrap().push(Refusal(what, "a".into(), answer.into()));
                let mut expected = both(Verdict::Held);
                expected[at].1 = Verdict::Broken;
                assert_eq!(verdicts(&all), expected, "{answer}");
            }
        }
    }

    #[test]
    fn an_older_kernel_that_does_not_count_filters_is_judged_by_what_it_refuses() {
        let mut all = denying();
        let without = |status: &str| status.replace("Seccomp_filters", "Other");
        all.1.process.status = without(&all.1.process.status);
        let process = all.2.process.as_mut().unwrap();
        process.status = without(&process.status);
        assert_eq!(verdicts(&all), both(Verdict::Held));
        let refusals = all.1.refusals.as_mut().unwrap();
        refusals.iter_mut().for_each(|one| one.2 = "ENOSYS".into());
        assert_eq!(verdicts(&all), both(Verdict::NotProvable));
    }
}
