//! `rewind completions`: the script with which a shell completes commands and options, and the ids and clusters of recoveries, which
//! it asks `rewind complete` for.

use crate::args::{Cli, Words};
use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::output::to_stdout;
use clap::CommandFactory;
use clap_complete::{Shell, generate};
use rewind_aws::Aws;
use rewind_aws::rds::Rds;
use rewind_aws::route53::Route53;
use rewind_clock::SystemClock;
use rewind_core::{Clock, RemovedBy};
use std::collections::BTreeSet;

/// The commands whose first argument is a recovery.
const OF_RECOVERIES: &str = "approve reject status diff resume undo cancel open";
/// The commands whose first argument is a cluster.
const OF_CLUSTERS: &str = "plan start list window";

/// The number of recoveries that a shell is told of, the latest first.
const RECOVERIES: usize = 50;

/// Writes the script to standard output.
pub(crate) fn run(shell: Shell) -> Result<Completion, Failure> {
    to_stdout(&script(shell));
    Ok(Completion::Done)
}

/// Writes the words that a shell asks for, one a line.
pub(crate) async fn words(aws: &Aws, client: &AwsClient, words: Words) -> Result<Completion, Failure> {
    let found: Vec<String> = match words {
        Words::Ids => client.list(None, RECOVERIES).await?.into_iter().map(|recovery| recovery.id).collect(),
        Words::Clusters => {
            let recoveries = client.list(None, RECOVERIES).await?;
            let clusters: BTreeSet<String> = recoveries.into_iter().map(|recovery| recovery.cluster).collect();
            clusters.into_iter().collect()
        }
        Words::Removable => {
            let inventory = client.inventory((&Rds::new(aws), &Route53::from_env(aws)), SystemClock.now()).await?;
            let by_clean_up = inventory.clusters.into_iter().filter(|cluster| cluster.removal.by == RemovedBy::CleanUp);
            by_clean_up.map(|cluster| cluster.cluster).collect()
        }
    };
    let lines: Vec<String> = found.iter().filter(|word| is_word(word)).map(|word| format!("{word}\n")).collect();
    to_stdout(&lines.concat());
    Ok(Completion::Done)
}

/// True of what a shell may complete. Whoever may start a recovery has a say in names, and a shell is a place where text is carried out.
fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn script(shell: Shell) -> String {
    let mut written = Vec::new();
    generate(shell, &mut Cli::command(), "rewind", &mut written);
    let script = String::from_utf8_lossy(&written).into_owned();
    let cases = |separator: &str| [OF_RECOVERIES, OF_CLUSTERS].map(|commands| commands.replace(' ', separator));
    match shell {
        Shell::Bash => {
            let [recoveries, clusters] = cases("|");
            // After clap's own function, whose answer stays: it knows the options.
            script
                + &format!(
                    r#"
_rewind_live() {{
    _rewind "$@"
    local words= word
    if [[ ${{COMP_WORDS[1]}} == clusters && ${{COMP_WORDS[COMP_CWORD-1]}} == --remove ]]; then
        # In place of files, which clap's function completes.
        words=removable COMPREPLY=()
    else
        [[ $COMP_CWORD -eq 2 && $2 != -* ]] || return 0
        case "${{COMP_WORDS[1]}}" in
            {recoveries}) words=ids ;;
            {clusters}) words=clusters ;;
            *) return 0 ;;
        esac
    fi
    # Not compgen -W, which expands what it is given.
    while IFS= read -r word; do
        [[ $word == "$2"* ]] && COMPREPLY+=("$word")
    done < <(rewind complete "$words" 2>/dev/null)
    return 0
}}
complete -F _rewind_live -o bashdefault -o default rewind
"#
                )
        }
        Shell::Fish => {
            let lines = [(OF_RECOVERIES, "ids"), (OF_CLUSTERS, "clusters")].map(|(commands, words)| {
                format!("complete -c rewind -n \"__fish_seen_subcommand_from {commands}\" -f -a \"(rewind complete {words} 2>/dev/null)\"\n")
            });
            let removable = "complete -c rewind -n \"__fish_seen_subcommand_from clusters\" -l remove -x -a \"(rewind complete removable 2>/dev/null)\"\n";
            script + &lines.concat() + removable
        }
        Shell::Zsh => zsh(&script),
        // The others have no place for words that are asked for.
        _ => script,
    }
}

/// Completes clap's script for zsh: the first argument of a command, and the cluster to remove, are asked for.
// In place, and not after clap's function as for bash: where the file lies in a directory of fpath, zsh knows only the
// function that has the file's name.
fn zsh(script: &str) -> String {
    let asked_for = |line: &str| {
        let is_argument = |name: &str| [":", "::"].iter().any(|kind| line.starts_with(&format!("'{kind}{name} -- ")));
        let asked = [("ids", is_argument("id")), ("clusters", is_argument("cluster"))];
        let asked = asked.into_iter().chain([("removable", line.starts_with("'--remove="))]);
        let word = asked.into_iter().find_map(|(word, is_asked)| is_asked.then_some(word))?;
        Some(format!("{}:_rewind_{word}{}", line.split(":_default").next()?, line.split_once(":_default")?.1))
    };
    let lines = script.lines().map(|line| {
        // The last lines of clap's script call its function, so that all others have to be there before them.
        let functions = if line.starts_with("if [ \"$funcstack[1]\"") { ZSH_FUNCTIONS } else { "" };
        format!("{functions}{}\n", asked_for(line).unwrap_or_else(|| line.to_owned()))
    });
    lines.collect()
}

/// The functions with which zsh asks for words.
const ZSH_FUNCTIONS: &str = r#"_rewind_live() {
    local kind=$1
    local -a live
    shift
    # Only split at line ends: an expansion of what was read would carry out what it holds.
    live=("${(@f)$(rewind complete $kind 2>/dev/null)}")
    # Without an answer there is one empty word.
    live=(${live:#})
    compadd "$@" -a live
}
_rewind_ids() { _rewind_live ids "$@" }
_rewind_clusters() { _rewind_live clusters "$@" }
_rewind_removable() { _rewind_live removable "$@" }

"#;

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::process::Command;

    #[test]
    fn every_command_whose_first_argument_is_a_recovery_or_a_cluster_is_completed() {
        for command in Cli::command().get_subcommands() {
            let first = command.get_positionals().next().map(|argument| argument.get_id().as_str().to_owned());
            let listed = |commands: &str| commands.split(' ').any(|name| name == command.get_name());
            assert_eq!(listed(OF_RECOVERIES), first.as_deref() == Some("id"), "{}", command.get_name());
            assert_eq!(listed(OF_CLUSTERS), first.as_deref() == Some("cluster"), "{}", command.get_name());
        }
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            assert!(script.contains("rewind complete"), "{script}");
            assert!(!script.contains("-W \"$words\""), "{script}");
        }
        let zsh = script(Shell::Zsh);
        let asks = |action: &str| zsh.lines().filter(|line| line.contains(&format!(":_rewind_{action}'"))).count();
        let commands = |names: &str| names.split(' ').count();
        assert_eq!((asks("ids"), asks("clusters")), (commands(OF_RECOVERIES), commands(OF_CLUSTERS)), "{zsh}");
        assert_eq!(asks("removable"), 1, "{zsh}");
    }

    #[test]
    fn nothing_that_a_shell_would_carry_out_is_a_word() {
        for word in ["orders", "my-aurora-cluster", "orders-rewind-20261123-103000", "event-6f1.2_x"] {
            assert!(is_word(word), "{word}");
        }
        for text in ["$(id)", "`id`", "a b", "a;b", "-v", "~", "a\u{1b}[2J", "*", "", "größe", "a\nb", "<(id)"] {
            assert!(!is_word(text), "{text:?}");
        }
    }

    /// With a `rewind` that answers what no real one would.
    #[test]
    fn bash_carries_out_nothing_of_what_it_completes() {
        let (dir, touched) = folder("bash");
        let asking = format!(
            r#"{}
rewind() {{ echo '$(touch {touched})'; echo '`touch {touched}`'; echo orders-1; echo other; }}
COMP_WORDS=(rewind plan or) COMP_CWORD=2
_rewind_live rewind or plan
printf '%s,' "${{COMPREPLY[@]}}"
COMP_WORDS=(rewind clusters --remove or) COMP_CWORD=3
_rewind_live rewind or --remove
printf '%s,' "${{COMPREPLY[@]}}"
COMP_WORDS=(rewind plan '') COMP_CWORD=2
_rewind_live rewind '' plan"#,
            script(Shell::Bash),
            touched = touched.display(),
        );
        let done = Command::new("bash").args(["-c", &asking]).output().unwrap();
        let answered = String::from_utf8_lossy(&done.stdout).into_owned();
        // The argument of `clusters --remove` too, and there nothing else: no file is one.
        assert!(answered.ends_with("orders-1,"), "{answered} {}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(answered.matches("orders-1,").count(), 2, "{answered}");
        assert!(!touched.exists(), "a word was carried out");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// A folder of this test, and in it a file that is there once a word was carried out.
    fn folder(name: &str) -> (PathBuf, PathBuf) {
        let dir = std::env::temp_dir().join(format!("completions-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let touched = dir.join("touched");
        (dir, touched)
    }

    /// Runs a shell; returns its output. None where this machine has no such shell.
    fn asked(shell: &mut Command) -> Option<String> {
        match shell.output() {
            Ok(done) => {
                Some(String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// A terminal of zsh's own, into which a key is typed, with the script where zsh finds it by itself.
    #[test]
    fn zsh_completes_ids_and_clusters_and_carries_out_nothing() {
        let (dir, touched) = folder("zsh");
        std::fs::write(dir.join("_rewind"), script(Shell::Zsh)).unwrap();
        let rc = format!(
            r#"PROMPT= fpath=({dir} $fpath)
autoload -Uz compinit && compinit -u -d {dir}/dump
rewind() {{ echo '$(touch {touched})'; echo '`touch {touched}`'; echo "$2-1"; echo other; }}
typed() {{ BUFFER=$TYPED CURSOR=$#TYPED; zle complete-word; print -r -- "[$BUFFER]"; BUFFER=; }}
zle -N typed && bindkey '^X' typed
print ready
"#,
            dir = dir.display(),
            touched = touched.display(),
        );
        std::fs::write(dir.join(".zshrc"), rc).unwrap();
        let lines = [
            ("rewind status i", "rewind status ids-1 "),
            ("rewind undo --confirm x i", "rewind undo --confirm x ids-1 "),
            ("rewind plan c", "rewind plan clusters-1 "),
            ("rewind clusters --remove r", "rewind clusters --remove removable-1 "),
            ("rewind appr", "rewind approve "),
            // Of all words, those that a shell would carry out too.
            ("rewind plan \\$", "rewind plan \\$\\(touch\\ "),
        ];
        for (typed, expected) in lines {
            let terminal = r#"zmodload zsh/zpty && zpty z zsh -i && zpty -r -m z out '*ready*' && zpty -n -w z $'\x18' &&
                zpty -r -m z out '*\[rewind*\]*' && print -r -- "$out""#;
            let mut zsh = Command::new("zsh");
            zsh.args(["-f", "-c", terminal]).env("ZDOTDIR", &dir).env("TYPED", typed).env("TERM", "dumb");
            let Some(answered) = asked(&mut zsh) else { return };
            assert!(answered.contains(&format!("[{expected}")), "{typed}: {answered}");
        }
        assert!(!touched.exists(), "a word was carried out");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn fish_completes_ids_and_clusters_and_carries_out_nothing() {
        let (dir, touched) = folder("fish");
        let file = dir.join("rewind.fish");
        std::fs::write(&file, script(Shell::Fish)).unwrap();
        for (typed, expected) in [
            ("rewind status i", "ids-1"),
            ("rewind plan c", "clusters-1"),
            ("rewind clusters --remove r", "removable-1"),
            ("rewind plan ", "$(touch"),
        ] {
            let asking = format!(
                r#"function rewind; echo '$(touch {touched})'; echo '(touch {touched})'; echo $argv[2]-1; echo other; end
source {file}
complete -C '{typed}'"#,
                touched = touched.display(),
                file = file.display(),
            );
            let Some(answered) = asked(Command::new("fish").args(["--no-config", "-c", &asking]).env("HOME", &dir))
            else {
                return;
            };
            assert!(answered.lines().any(|line| line.starts_with(expected)), "{typed}: {answered}");
        }
        assert!(!touched.exists(), "a word was carried out");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
