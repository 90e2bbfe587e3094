//! `rewind completions`: the script with which a shell completes commands and options, and the ids and clusters of recoveries, which
//! it asks `rewind complete` for.

use crate::args::{Cli, Words};
use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use clap::CommandFactory;
use clap_complete::{Shell, generate};
use std::collections::BTreeSet;

/// The commands whose first argument is a recovery.
const OF_RECOVERIES: &str = "approve reject status resume undo cancel";
/// The commands whose first argument is a cluster.
const OF_CLUSTERS: &str = "plan start list window";

/// The number of recoveries that a shell is told of, the latest first.
const RECOVERIES: usize = 50;

/// Writes the script to standard output.
pub(crate) fn run(shell: Shell) -> Result<Completion, Failure> {
    print!("{}", script(shell));
    Ok(Completion::Done)
}

/// Writes the words that a shell asks for, one a line.
pub(crate) async fn words(client: &AwsClient, words: Words) -> Result<Completion, Failure> {
    let recoveries = client.list(None, RECOVERIES).await?;
    match words {
        Words::Ids => recoveries.iter().for_each(|recovery| println!("{}", recovery.id)),
        Words::Clusters => {
            let clusters: BTreeSet<&str> = recoveries.iter().map(|recovery| recovery.cluster.as_str()).collect();
            clusters.iter().for_each(|cluster| println!("{cluster}"));
        }
    }
    Ok(Completion::Done)
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
    [[ $COMP_CWORD -eq 2 && $2 != -* ]] || return 0
    local words=
    case "${{COMP_WORDS[1]}}" in
        {recoveries}) words=$(rewind complete ids 2>/dev/null) ;;
        {clusters}) words=$(rewind complete clusters 2>/dev/null) ;;
    esac
    COMPREPLY+=($(compgen -W "$words" -- "$2"))
}}
complete -F _rewind_live -o bashdefault -o default rewind
"#
                )
        }
        Shell::Fish => {
            let lines = [(OF_RECOVERIES, "ids"), (OF_CLUSTERS, "clusters")].map(|(commands, words)| {
                format!("complete -c rewind -n \"__fish_seen_subcommand_from {commands}\" -f -a \"(rewind complete {words} 2>/dev/null)\"\n")
            });
            script + &lines.concat()
        }
        // The others have no place for words that are asked for.
        _ => script,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_whose_first_argument_is_a_recovery_or_a_cluster_is_completed() {
        for command in Cli::command().get_subcommands() {
            let first = command.get_positionals().next().map(|argument| argument.get_id().as_str().to_owned());
            let listed = |commands: &str| commands.split(' ').any(|name| name == command.get_name());
            assert_eq!(listed(OF_RECOVERIES), first.as_deref() == Some("id"), "{}", command.get_name());
            assert_eq!(listed(OF_CLUSTERS), first.as_deref() == Some("cluster"), "{}", command.get_name());
        }
        for shell in [Shell::Bash, Shell::Fish] {
            let script = script(shell);
            assert!(script.contains("rewind complete ids") && script.contains("rewind complete clusters"), "{script}");
        }
    }
}
