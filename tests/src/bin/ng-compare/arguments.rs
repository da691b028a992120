//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::generate::{AREAS, Vocabulary};

pub(crate) const USAGE: &str = "\
usage: ng-compare --reference DAEMON [--ours DAEMON] [OPTIONS]     random conversations to both
       ng-compare [--ours DAEMON] [--folder DIR] [OPTIONS]         recorded conversations to ours
Needs root: each daemon gets a network namespace of its own.

  --ours DAEMON        default: relay-daemon beside this program
  --seeds FROM..TO     one conversation for each seed, TO excluded; default 0..1000
  --time SECONDS       seeds from FROM on for so long
  --area A[,B...]      only these parts of the vocabulary: AREAS
  --no-codecs          nothing that needs transcoding
  --jobs N             pairs of daemons; default 1
  --anew N             restarts daemons after so many conversations; default 300
  --known FILE         differences that are known; default tests/fixtures/compare/known.txt
  --shrink N           shrinks so many conversations of each kind of difference; default 2
  --save DIR           writes those into DIR, as recordings with the replies of the reference
  --show N             shows so many kinds of differences in full; default 10
  --folder DIR         recordings; with --reference too: they are played to both
  --only TEXT          recordings whose name contains it
  --replay SEED        same as --seeds SEED..SEED+1 --show 1, and shows the whole conversation

The exit status is 0 if all agree, 1 if some differ, 2 if it cannot run.";

#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) reference: Option<PathBuf>,
    pub(crate) ours: PathBuf,
    pub(crate) first: u64,
    pub(crate) end: u64,
    pub(crate) time: Option<Duration>,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) jobs: usize,
    pub(crate) anew: usize,
    pub(crate) known: PathBuf,
    pub(crate) shrink: usize,
    pub(crate) save: Option<PathBuf>,
    pub(crate) show: usize,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) only: String,
    pub(crate) whole: bool,
}

pub(crate) fn parse(words: impl Iterator<Item = String>) -> anyhow::Result<Arguments> {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let beside = std::env::current_exe()?.with_file_name("relay-daemon");
    let mut arguments = Arguments {
        reference: None,
        ours: beside,
        first: 0,
        end: 1000,
        time: None,
        vocabulary: Vocabulary::default(),
        jobs: 1,
        anew: 300,
        known: fixtures.join("compare/known.txt"),
        shrink: 2,
        save: None,
        show: 10,
        folder: None,
        only: String::new(),
        whole: false,
    };
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let (name, given) = match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        if name == "--no-codecs" {
            arguments.vocabulary.no_codecs = true;
            continue;
        }
        let value = given
            .or_else(|| words.next())
            .with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--reference" => arguments.reference = Some(PathBuf::from(value)),
            "--ours" => arguments.ours = PathBuf::from(value),
            "--seeds" => {
                let (first, end) = value.split_once("..").context("--seeds FROM..TO")?;
                (arguments.first, arguments.end) = (first.parse()?, end.parse()?);
            }
            "--replay" => {
                arguments.first = value.parse()?;
                arguments.end = arguments.first + 1;
                arguments.whole = true;
            }
            "--time" => {
                arguments.time = Some(Duration::from_secs(value.parse()?));
                arguments.end = u64::MAX;
            }
            "--area" => arguments.vocabulary.areas = value.split(',').map(str::to_owned).collect(),
            "--jobs" => arguments.jobs = value.parse::<usize>()?.max(1),
            "--anew" => arguments.anew = value.parse::<usize>()?.max(1),
            "--known" => arguments.known = PathBuf::from(value),
            "--shrink" => arguments.shrink = value.parse()?,
            "--save" => arguments.save = Some(PathBuf::from(value)),
            "--show" => arguments.show = value.parse()?,
            "--folder" => arguments.folder = Some(PathBuf::from(value)),
            "--only" => arguments.only = value,
            _ => bail!("unknown option {name}"),
        }
    }
    for area in &arguments.vocabulary.areas {
        ensure!(
            AREAS.contains(&area.as_str()),
            "no area {area}; there are {}",
            AREAS.join(", ")
        );
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let parse = |text: &str| parse(text.split(' ').map(str::to_owned));
        let arguments = parse("--reference /x --seeds 5..9 --area=ice,mid --no-codecs").unwrap();
        assert_eq!((arguments.first, arguments.end), (5, 9));
        assert_eq!(arguments.vocabulary.areas, ["ice", "mid"]);
        assert!(arguments.vocabulary.no_codecs);
        for wrong in ["--area nothing", "--seeds 5", "--what 1", "--jobs"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
