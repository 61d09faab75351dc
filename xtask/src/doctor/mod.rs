//! What this host has and lacks for a sandbox, all at once. Pure: facts in, findings out.
//!
//! What is fatal here is what `sandbox`, `image` and `gpu-smoke` refuse with, in the same words: both take it from the
//! same functions (`engine::refusals`, `gpu::route`, `base::misfit`, `sources::check`, …). The rest is advice.

pub mod codex;
pub mod data;
pub mod engine;
pub mod gather;
pub mod gpu;
pub mod project;
mod versions;

use crate::error::{Failure, Kind, Mend};
use crate::ui;
use serde_json::{Value, json};

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The container engine.
    Engine,
    /// GPU, driver, toolkit.
    Gpu,
    /// The host's Codex and its login.
    Codex,
    /// The data sets.
    Data,
    /// Settings, workspace, image, room.
    Project,
}

impl Group {
    fn name(self) -> &'static str {
        match self {
            Group::Engine => "engine",
            Group::Gpu => "gpu",
            Group::Codex => "codex",
            Group::Data => "data",
            Group::Project => "project",
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// A sandbox runs, and something is worse than it could be.
    Warning,
    /// It is not there, and no sandbox runs without it.
    Missing,
    /// It is there and does not do, and no sandbox runs with it.
    Broken,
    /// Could not be looked at.
    Unchecked,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Missing => "missing",
            Verdict::Broken => "broken",
            Verdict::Unchecked => "not checked",
        }
    }

    /// Whether no sandbox runs like this.
    pub fn fatal(self) -> bool {
        matches!(self, Verdict::Missing | Verdict::Broken)
    }
}

/// One line of the doctor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub group: Group,
    /// A stable name, such as `engine.compose`.
    pub id: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was looked at, for people.
    pub what: String,
    /// What is there.
    pub found: String,
    /// What a sandbox needs.
    pub needed: String,
    /// What to do, in this order.
    pub mend: Vec<Mend>,
    /// Whose fault a fatal finding is.
    pub kind: Kind,
}

/// The subject of a finding: what is looked at, and what a sandbox needs of it.
#[derive(Debug, Clone, Copy)]
struct Check<'a> {
    group: Group,
    id: &'a str,
    what: &'a str,
    needed: &'a str,
}

impl Check<'_> {
    fn finding(self, verdict: Verdict, found: impl Into<String>) -> Finding {
        Finding {
            group: self.group,
            id: format!("{}.{}", self.group.name(), self.id),
            verdict,
            what: self.what.into(),
            found: found.into(),
            needed: self.needed.into(),
            mend: Vec::new(),
            kind: Kind::Host,
        }
    }

    fn ok(self, found: impl Into<String>) -> Finding {
        self.finding(Verdict::Ok, found)
    }

    fn warning(self, found: impl Into<String>, mend: impl IntoIterator<Item = Mend>) -> Finding {
        Finding { mend: mend.into_iter().collect(), ..self.finding(Verdict::Warning, found) }
    }

    fn unchecked(self, why: impl Into<String>) -> Finding {
        self.finding(Verdict::Unchecked, why)
    }

    /// With the words and the remedy of the refusal that it leads to.
    fn refused(self, verdict: Verdict, failure: &Failure) -> Finding {
        Finding { mend: failure.mend.clone(), kind: failure.kind, ..self.finding(verdict, &failure.message) }
    }

    fn missing(self, failure: &Failure) -> Finding {
        self.refused(Verdict::Missing, failure)
    }

    fn broken(self, failure: &Failure) -> Finding {
        self.refused(Verdict::Broken, failure)
    }
}

/// Everything that is known of this host and of what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The engine.
    pub engine: engine::Facts,
    /// The GPUs.
    pub gpu: gpu::Facts,
    /// Codex.
    pub codex: codex::Facts,
    /// The data sets.
    pub data: data::Facts,
    /// The project.
    pub project: project::Facts,
}

/// All findings, by group.
pub fn doctor(facts: &Facts) -> Vec<Finding> {
    let mut findings = engine::findings(&facts.engine);
    findings.extend(gpu::findings(&facts.gpu));
    findings.extend(codex::findings(&facts.codex));
    findings.extend(data::findings(&facts.data));
    findings.extend(project::findings(&facts.project));
    findings
}

/// The exit code: 0 where a sandbox could run, 3 where the host lacks something, 2 where only the settings are wrong.
pub fn exit_code(findings: &[Finding]) -> u8 {
    let fatal = || findings.iter().filter(|finding| finding.verdict.fatal());
    if fatal().any(|finding| finding.kind != Kind::Usage) {
        Kind::Host.code()
    } else if fatal().next().is_some() {
        Kind::Usage.code()
    } else {
        0
    }
}

/// The findings as JSON. What to do is a list of lines for a shell: what is no command is a comment.
pub fn json(findings: &[Finding]) -> Value {
    let mend = |mend: &Mend| match mend {
        Mend::Run(command) => command.clone(),
        Mend::Do(text) => format!("# {text}"),
    };
    let list = findings.iter().map(|finding| {
        json!({
            "group": finding.group.name(),
            "id": finding.id,
            "verdict": finding.verdict.name(),
            "what": finding.what,
            "found": finding.found,
            "needed": finding.needed,
            "mend": finding.mend.iter().map(mend).collect::<Vec<_>>(),
        })
    });
    json!({"schema": 1, "findings": list.collect::<Vec<_>>()})
}

/// The findings for people: a line each, and below those that are not well what is needed and what to do.
pub fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.what.chars().count()).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    let mut group = None;
    for finding in findings {
        if group != Some(finding.group) {
            group = Some(finding.group);
            text.push_str(&format!("{}\n", finding.group.name()));
        }
        let found = ui::printable(&finding.found);
        text.push_str(&format!("  {:<11}  {:<width$}  {found}\n", finding.verdict.name(), finding.what));
        if finding.verdict == Verdict::Ok {
            continue;
        }
        let below = " ".repeat(15);
        if !finding.needed.is_empty() {
            text.push_str(&format!("{below}{:<width$}  needed: {}\n", "", finding.needed));
        }
        for mend in &finding.mend {
            let mark = if matches!(mend, Mend::Run(_)) { "$ " } else { "" };
            text.push_str(&format!("{below}{:<width$}  {mark}{mend}\n", ""));
        }
    }
    text
}

/// The last line for people.
pub fn summary(findings: &[Finding]) -> String {
    let count = |verdicts: &[Verdict]| findings.iter().filter(|f| verdicts.contains(&f.verdict)).count();
    let (fatal, warnings) = (count(&[Verdict::Missing, Verdict::Broken]), count(&[Verdict::Warning]));
    let many = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    let warnings = match warnings {
        0 => String::new(),
        n => format!("; {}", many(n, "warning")),
    };
    match (fatal, exit_code(findings)) {
        (0, _) => format!("a sandbox with these settings can run here{warnings}"),
        (n, 2) => format!("the settings need mending: {}{warnings}", many(n, "problem")),
        (n, _) => format!("no sandbox with these settings can run here yet: {}{warnings}", many(n, "problem")),
    }
}

#[cfg(test)]
mod tests;
