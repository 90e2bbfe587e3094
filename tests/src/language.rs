//! The language of the sources: plain doc comments, the vocabulary of this project, and comments that give reasons.

use crate::files;
use regex::Regex;
use std::sync::LazyLock;

/// Every Rust file of the project with its text.
fn sources() -> Vec<(String, String)> {
    let paths = files::all(".", ".rs");
    assert!(paths.len() > 200, "only {} sources were found", paths.len());
    paths.into_iter().map(|path| (path.clone(), files::read(&path))).collect()
}

/// A doc comment begins with the thing or the verb. These words begin a fragment that has to be read twice.
#[test]
fn no_doc_comment_begins_with_a_pronoun_or_a_question_word() {
    let found: Vec<String> = sources().iter().flat_map(|(path, text)| vague_beginnings(path, text)).collect();
    assert!(found.is_empty(), "{} doc comments begin vaguely:\n{}", found.len(), found.join("\n"));
}

fn vague_beginnings(path: &str, text: &str) -> Vec<String> {
    static BEGINNING: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^//[/!] ?(Its|What|Which|Whether|Who|Whose|Where)\b").unwrap());
    let is_doc = |line: &str| line.starts_with("///") || line.starts_with("//!");
    let mut found = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().map(str::trim_start).enumerate() {
        if !inside && BEGINNING.is_match(line) {
            found.push(format!("{path}:{}: {line}", number + 1));
        }
        inside = is_doc(line);
    }
    found
}

#[test]
fn a_vague_beginning_is_found_at_the_first_line_of_a_block_only() {
    let text = "//! Which it is.\n\n    /// Its name.\n    /// Where it is.\nx: u8,\n/// Itself.\n// What for\n";
    let found = vague_beginnings("a.rs", text);
    assert_eq!(found, ["a.rs:1: //! Which it is.", "a.rs:3: /// Its name."]);
}

/// Words that a reader from AWS and PostgreSQL would not guess, and the words to use.
const VOCABULARY: [(&str, &str); 22] = [
    ("desk", "client"),
    ("door", "login path, proxy, HTTP"),
    ("errand", "client"),
    ("evidence", "safety clone"),
    ("knock", "probe"),
    ("look", "inspect, find"),
    ("looking", "describe"),
    ("matter", "proposal"),
    ("objection", "denied"),
    ("office", "client"),
    ("original", "source"),
    ("patience", "timeout, deadline"),
    ("plane", "control plane"),
    ("prove", "verify"),
    ("reckoning", "totals"),
    ("said", "output, message"),
    ("say", "render, format"),
    ("starter", "requester"),
    ("story", "scenario"),
    ("stranger", "unknown"),
    ("tale", "render, console"),
    ("tell", "notify, print"),
];

#[test]
fn identifiers_are_of_the_projects_vocabulary() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let stem = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        let names = identifiers(&text).into_iter().chain([(0, stem.to_owned())]);
        for (line, name) in names {
            // hickory's name for the query as it was received.
            let is_of_a_library = path == "local/src/dns/mod.rs" && name == "original";
            let outside = outside_vocabulary(&name).filter(|_| !is_of_a_library);
            found.extend(outside.map(|instead| format!("{path}:{line}: {name} (say {instead})")));
        }
    }
    // One line often has a name twice, and one report of it is enough.
    found.dedup();
    assert!(found.is_empty(), "{} identifiers are of another vocabulary:\n{}", found.len(), found.join("\n"));
}

/// The words to use in place of one in `name`, if it has one that is not to be used.
fn outside_vocabulary(name: &str) -> Option<&'static str> {
    let words = words(name);
    VOCABULARY.iter().find_map(|(word, instead)| {
        let is_used = words.iter().enumerate().any(|(i, used)| {
            let singular = used.strip_suffix('s').unwrap_or(used);
            let is_control_plane = *word == "plane" && i > 0 && words[i - 1] == "control";
            (used == word || singular == *word) && !is_control_plane
        });
        is_used.then_some(*instead)
    })
}

/// The words of an identifier, in lower case: `TakenLease`, `TAKEN_LEASE` and `taken_lease` have the same ones.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut last = ' ';
    for letter in name.chars() {
        // A capital begins a word, except within a name that has capitals alone.
        if letter == '_' || (letter.is_uppercase() && last.is_lowercase()) {
            words.push(String::new());
        }
        if letter != '_' {
            words.last_mut().unwrap().extend(letter.to_lowercase());
        }
        last = letter;
    }
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

/// The identifiers of Rust code with their lines, without those in comments, strings and lifetimes.
fn identifiers(text: &str) -> Vec<(usize, String)> {
    // The first alternative that matches wins, so what may hold a quote or a slash comes before what begins with one.
    // Compiled once: the sources have a quarter of a million tokens.
    static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
        let tokens = [
            r"(?s)//[^\n]*",
            r"/\*.*?\*/",
            r#####"[bc]?r####".*?"####"#####,
            r####"[bc]?r###".*?"###"####,
            r####"[bc]?r##".*?"##"####,
            r####"[bc]?r#".*?"#"####,
            r##"[bc]?r"[^"]*""##,
            r##"[bc]?"(?:\\.|[^"\\])*""##,
            r"b?'(?:\\[^\n]{1,9}?|[^'\\\n])'",
            r"'\w+",
            r"(?:r#)?([A-Za-z_]\w*)",
        ];
        Regex::new(&tokens.join("|")).unwrap()
    });
    let mut found = Vec::new();
    let (mut line, mut counted) = (1, 0);
    for capture in TOKEN.captures_iter(text) {
        let Some(name) = capture.get(1) else { continue };
        line += text[counted..name.start()].matches('\n').count();
        counted = name.start();
        found.push((line, name.as_str().to_owned()));
    }
    found
}

#[test]
fn identifiers_are_distinguished_from_comments_strings_and_lifetimes() {
    let text = r####"
        // door
        /* desk
           office */
        fn knock<'story>(a: &'story str) -> char { let r#matter = "prove \" tale"; b"errand"; 'd'; '\''; '\u{1F600}' }
        const PLANE: &str = r#"an "original" desk"#; let x = r##"a "# door"##; /// stranger
    "####;
    let names: Vec<String> = identifiers(text).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names.join(" "), "fn knock a str char let matter const PLANE str let x");
    assert_eq!(identifiers(text)[0].0, 5);
}

#[test]
fn a_word_is_found_in_every_spelling_and_only_as_a_whole_word() {
    for name in
        ["door", "front_door", "FrontDoor", "DOORS", "doors_open", "Starters", "plane", "PlaneState", "retale_tale"]
    {
        assert!(outside_vocabulary(name).is_some(), "{name}");
    }
    for name in ["indoor", "control_plane", "ControlPlane", "desktop", "improve", "starts", "history", "totals"] {
        assert_eq!(outside_vocabulary(name), None, "{name}");
    }
}

/// The least share of lines, in percent, that are plain comments: code says what is done, and only they say why.
const REASONS: f64 = 3.0;

#[test]
fn enough_comments_give_reasons() {
    let (mut lines, mut reasons) = (0_u32, 0_u32);
    for (_, text) in sources() {
        for line in text.lines().map(str::trim_start) {
            lines += 1;
            reasons += u32::from(gives_a_reason(line));
        }
    }
    let share = f64::from(reasons) * 100.0 / f64::from(lines);
    assert!(share >= REASONS, "{reasons} of {lines} lines are comments that are no documentation: {share:.2} %");
}

/// True for a plain comment: no documentation, no rule between sections, and no directive.
fn gives_a_reason(line: &str) -> bool {
    let is_plain = line.starts_with("//") && !line.starts_with("///") && !line.starts_with("//!");
    is_plain && !line.contains("-----") && line.contains(' ')
}

#[test]
fn documentation_and_rules_between_sections_give_no_reasons() {
    assert!(gives_a_reason("// RDS answers before it is done."));
    for line in ["/// A name.", "//! A module.", "// ---------------- checks", "//", "let a = 1; // once"] {
        assert!(!gives_a_reason(line), "{line}");
    }
}
