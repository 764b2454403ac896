//! `millrace bench`: measure a broker and say what the numbers are worth.

mod brokers;
mod flags;
mod load;
mod outputs;
mod screen;
mod setup;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Arg, ArgAction, Command};

use super::flags::{self as flag_tables, Options};
use super::interrupt::Interrupt;
use super::nested;
use super::output::{Failure, Outcome, Output};
use crate::bench::BenchError;
use crate::bench::error::{EXIT_FAILED, EXIT_INTERRUPTED};
use crate::bench::payload::Payloads;
use crate::bench::results::{FORMAT, Finding, Floor, Results};
use crate::bench::session::{Screen, Session, Setup, Stop};
use crate::bench::workload::Workload;
use crate::bench::{advice, doctor, faults, floors, probe, program, target};
use outputs::Outputs;
use screen::Terminal;
use setup::Program;

/// Name of the command.
pub const NAME: &str = "bench";
/// What it is for.
pub const ABOUT: &str = "Measure a broker: 'bench', 'bench --quick --peer apache-kafka', 'bench --sweep linger.ms=0,5,50', \
                         'bench compare a.json b.json', 'bench report results.json'.";

/// How long each floor is measured.
const FLOOR_TIME: Duration = Duration::from_millis(250);
/// Bytes of records that the codecs' floors are measured with.
const SAMPLE_BYTES: usize = 1 << 20;

/// Its flags and subcommands, for the help and the documentation.
pub fn command() -> Command {
    flag_tables::command(NAME, ABOUT, flags::FLAGS)
        .subcommand(
            nested::subcommand(
                "compare",
                "Compare two results files: faster, slower or cannot tell, for each pair of runs. Exit code 2: something is slower.",
            )
            .arg(Arg::new("file").value_name("RESULTS.JSON").help("The old one, then the new one.").action(ArgAction::Append).num_args(2).required(true))
            .arg(nested::switch("markdown", "Print Markdown.")),
        )
        .subcommand(
            nested::subcommand("report", "Write report.html again from a results file.")
                .arg(Arg::new("file").value_name("RESULTS.JSON").help("The results.").required(true))
                .arg(nested::value("output", "The file to write; report.html beside the results otherwise.")),
        )
}

/// Runs it.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    if let Some("compare" | "report") = args.first().map(String::as_str) {
        return outputs::again(&nested::parse(subcommands(), args)?, out);
    }
    let options = Options::parse_any(NAME, ABOUT, flags::FLAGS, args)?;
    measure(&options, args, out)
}

fn subcommands() -> Command {
    let all = command();
    all.get_subcommands().cloned().fold(nested::command(NAME, ABOUT), Command::subcommand)
}

fn measure(options: &Options, args: &[String], out: &mut Output) -> Outcome {
    // Everything that can be wrong with the flags is found before anything is started.
    let scenario = load::scenario(options)?;
    let workload = scenario.workload.clone();
    let faults = options.value("fault")?.map(faults::parse).transpose()?.unwrap_or_default();
    let program = setup::program(options, &scenario, !faults.is_empty())?;
    let address = brokers::address_of(options, &scenario.bootstrap_servers)?;
    let cores = brokers::cores(options, address.is_some())?;
    let conduct = setup::conduct(options, &scenario, faults, cores.1.clone())?;
    setup::check(&workload, &conduct)?;
    let repetitions = options.number("repetitions")?.unwrap_or(1u32).max(1);
    let driver = brokers::driver(options)?;
    let outputs = Outputs::new(options, &scenario, started_ms())?;
    let interrupt = Interrupt::watch();
    let targets = brokers::targets(options, address.as_deref(), &cores, &conduct.common)?;
    for target in &targets {
        faults::check(&conduct.faults, target, conduct.measure)?;
    }
    let mut results = Results {
        format: FORMAT,
        millrace: env!("CARGO_PKG_VERSION").to_owned(),
        command: command_line(args),
        title: if scenario.name.is_empty() { title(&program).to_owned() } else { scenario.name.clone() },
        started_ms: started_ms() as i64,
        machine: probe::describe(targets[0].data_dir().as_deref()),
        systems: targets.iter().map(target::Target::describe).collect(),
        fairness: target::fairness(&targets.iter().collect::<Vec<_>>()),
        ..Results::default()
    };
    if !options.has("no-floors") {
        let dir = targets[0].data_dir().unwrap_or_else(|| outputs.directory().to_owned());
        results.floors = floors::measure(&dir, &sample(&workload)?, FLOOR_TIME)?;
    }
    results.findings = findings(&targets, &results.floors);
    let mut terminal = Terminal::new(interrupt);
    let setup = Setup {
        results,
        targets,
        driver,
        conduct,
        repetitions,
        directory: Some(outputs.directory().to_owned()),
        fresh_topics: !options.has("topic"),
    };
    for note in &scenario.notes {
        terminal.note(note);
    }
    let mut session = Session::new(setup, &mut terminal);
    let stopped = play(&program, &mut session, &workload);
    let progress = session.progress();
    let mut results = session.finish();
    terminal.finish();
    let code = match &stopped {
        Ok(()) => None,
        Err(Stop::Interrupted) => {
            results.partial = Some(format!("interrupted; {progress}"));
            Some(EXIT_INTERRUPTED)
        }
        Err(Stop::Failed(error)) => {
            results.partial = Some(format!("{error}; {progress}"));
            out.note(error)?;
            Some(EXIT_FAILED)
        }
    };
    results.advice.extend(advice::advise(&results.runs));
    let verdict = outputs.write(&results, out)?;
    match code.unwrap_or(verdict) {
        0 => Ok(()),
        code => Err(Failure::Quiet(code)),
    }
}

fn play(program: &Program, session: &mut Session<'_>, workload: &Workload) -> Result<(), Stop> {
    match program {
        Program::Quick => program::quick(session, workload),
        Program::Standard => program::standard(session, workload),
        Program::Faults => program::faults(session, workload),
        Program::Sweep(dimensions, combine) => program::sweep(session, workload, dimensions, *combine),
        Program::Answer(question) => program::answer(session, workload, question),
        Program::LoadCurve => program::load_curve(session, workload),
        Program::FindMax(dimensions, combine, promise) => {
            program::find_max(session, workload, dimensions, *combine, promise)
        }
    }
}

fn title(program: &Program) -> &'static str {
    match program {
        Program::Quick => "quick",
        Program::Standard => "standard",
        Program::Faults => "faults",
        Program::Sweep(dimensions, _) if dimensions.is_empty() => "one workload",
        Program::Sweep(..) => "sweep",
        Program::Answer(question) => question.about,
        Program::LoadCurve => "latency against load",
        Program::FindMax(..) => "highest rate that keeps a promise",
    }
}

/// The command as the user gave it, fit to be pasted into a shell.
fn command_line(args: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,:/+@%".contains(c);
    let quoted = |arg: &String| match !arg.is_empty() && arg.chars().all(plain) {
        true => arg.clone(),
        false => format!("'{}'", arg.replace('\'', "'\\''")),
    };
    let words: Vec<String> = args.iter().map(quoted).collect();
    format!("millrace bench {}", words.join(" ")).trim_end().to_owned()
}

fn started_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Config(text) => Failure::Usage(text),
            error => Failure::message(error),
        }
    }
}

/// What of this machine costs its brokers something; nothing where none of them is on it.
fn findings(targets: &[target::Target], floors: &[Floor]) -> Vec<Finding> {
    let Some(dir) = targets[0].data_dir() else { return Vec::new() };
    let wanted = doctor::Wanted {
        data_dirs: vec![dir],
        tail_dir: Some(PathBuf::from("/dev/shm")),
        shards: targets[0].cores().len(),
        direct_io: true,
        ..doctor::Wanted::default()
    };
    let mut findings = doctor::judge(&doctor::look(wanted, doctor::Measuring::Known(floors)));
    // Brokers have just been started; each run is judged by who else works meanwhile.
    findings.retain(|finding| finding.check != doctor::OTHER_WORK);
    findings
}

/// What the records of a workload are made of, for the floors of the codecs.
fn sample(workload: &Workload) -> Result<Vec<u8>, BenchError> {
    let Some(flow) = workload.flows.first() else { return Ok(Vec::new()) };
    let payloads = Payloads::new(flow, 1)?;
    let mut source = payloads.source(0, 1);
    let mut sample = Vec::with_capacity(SAMPLE_BYTES);
    while sample.len() < SAMPLE_BYTES {
        match source.draw().value {
            Some(value) if value.len > 0 => source.value(value, 0).for_each(|part| sample.extend_from_slice(part)),
            _ => sample.push(0),
        }
    }
    Ok(sample)
}

/// Where files go when the user names no directory.
fn default_directory(started_ms: u64) -> PathBuf {
    PathBuf::from(format!("millrace-bench-{}", super::java_time::compact(started_ms as i64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted() {
        let args: Vec<String> = ["--slo", "p99<10ms", "--sweep", "a=1,2", "it's"].map(str::to_owned).to_vec();
        assert_eq!(command_line(&args), "millrace bench --slo 'p99<10ms' --sweep a=1,2 'it'\\''s'");
        assert_eq!(command_line(&[]), "millrace bench");
    }
}
