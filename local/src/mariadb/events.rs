//! The events that are off. Replication switches off every event that it creates or alters, those that were off as those that were on:
//! a rebuilt server must be told which of them ran. On Aurora a restored cluster has them as they were.

use super::accounts::literal;
use std::collections::BTreeSet;

/// The events that are off, while statements of a log are gone through.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Off(BTreeSet<(String, String)>);

/// The events that are off already, as [`Off::of`] takes them.
pub(super) const LIST: &str = "SELECT db, name FROM mysql.event WHERE status = 'DISABLED';\n";

impl Off {
    /// Reads the answer to [`LIST`].
    pub fn of(rows: &str) -> Self {
        let rows = rows.lines().skip(1).filter_map(|row| row.split_once('\t'));
        Self(rows.map(|(database, name)| key(database, name)).collect())
    }

    /// Follows a statement that succeeded in `database`.
    pub fn follow(&mut self, database: &str, text: &str) {
        let Some(statement) = Statement::read(database, text) else { return };
        let before = self.0.remove(&statement.event);
        // CREATE without a word about it is on, and ALTER leaves it.
        let off = statement.off.unwrap_or(before && !statement.creates);
        if off {
            self.0.insert(statement.renamed.unwrap_or(statement.event));
        }
    }

    /// The statements that undo what replication did.
    pub fn statements(&self) -> String {
        let mut text = String::new();
        for (database, name) in &self.0 {
            text.push_str(&format!(
                "UPDATE mysql.event SET status = 'DISABLED' WHERE status = 'SLAVESIDE_DISABLED' AND db = {} AND name = {};\n",
                literal(database),
                literal(name),
            ));
        }
        text.push_str("UPDATE mysql.event SET status = 'ENABLED' WHERE status = 'SLAVESIDE_DISABLED';\n");
        text
    }
}

// Names of events know no case.
fn key(database: &str, name: &str) -> (String, String) {
    (database.to_owned(), name.to_lowercase())
}

/// The event of a `CREATE EVENT` or `ALTER EVENT`, and whether that leaves it on.
#[derive(Debug)]
struct Statement {
    creates: bool,
    event: (String, String),
    renamed: Option<(String, String)>,
    off: Option<bool>,
}

impl Statement {
    fn read(database: &str, text: &str) -> Option<Self> {
        let mut tokens = tokens(text).peekable();
        let first = tokens.next()?;
        let creates = first.is("CREATE");
        if !creates && !first.is("ALTER") {
            return None;
        }
        // Only a definer is before the word: of a table or a view, another word of these comes first.
        let what =
            tokens.find(|token| ["EVENT", "TABLE", "VIEW", "DATABASE", "USER"].iter().any(|word| token.is(word)))?;
        if !what.is("EVENT") {
            return None;
        }
        while tokens.next_if(|token| ["IF", "NOT", "EXISTS"].iter().any(|word| token.is(word))).is_some() {}
        let event = name(database, &mut tokens)?;
        let (mut renamed, mut off) = (None, None);
        while let Some(token) = tokens.next().filter(|token| !token.is("DO")) {
            if token.is("ENABLE") || token.is("DISABLE") {
                off = Some(token.is("DISABLE"));
            } else if token.is("RENAME") {
                tokens.next();
                renamed = name(database, &mut tokens);
            }
        }
        Some(Self { creates, event, renamed, off })
    }
}

/// Reads a name, with its database or without.
fn name(database: &str, tokens: &mut std::iter::Peekable<impl Iterator<Item = Token>>) -> Option<(String, String)> {
    let first = tokens.next()?.0;
    if tokens.next_if(|token| token.0 == ".").is_none() {
        return Some(key(database, &first));
    }
    Some(key(&first, &tokens.next()?.0))
}

/// A word, the text between quotes, or a character; with true if it was quoted.
#[derive(Debug)]
struct Token(String, bool);

impl Token {
    fn is(&self, word: &str) -> bool {
        !self.1 && self.0.eq_ignore_ascii_case(word)
    }
}

fn tokens(text: &str) -> impl Iterator<Item = Token> {
    let mut rest = text.chars().peekable();
    std::iter::from_fn(move || {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        let first = rest.next()?;
        let mut token = String::new();
        if ['`', '\'', '"'].contains(&first) {
            while let Some(c) = rest.next() {
                if c == first && rest.next_if_eq(&first).is_none() {
                    break;
                }
                let escaped = c == '\\' && first != '`';
                token.push(if escaped { rest.next()? } else { c });
            }
            return Some(Token(token, true));
        }
        token.push(first);
        let in_word = |c: &char| c.is_alphanumeric() || ['_', '$'].contains(c);
        while in_word(&first)
            && let Some(c) = rest.next_if(in_word)
        {
            token.push(c);
        }
        Some(Token(token, false))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_off_as_the_last_statement_about_it_left_it() {
        let mut off = Off::of("db\tname\nshop\tOld\nshop\tkept\n");
        for text in [
            "CREATE DEFINER=`shop`@`%` EVENT tick ON SCHEDULE EVERY 1 SECOND DO UPDATE t SET a = 'DISABLE'",
            "CREATE DEFINER=`event`@`%` EVENT audit.idle ON SCHEDULE EVERY 1 SECOND disable DO DELETE FROM shop.orders",
            "CREATE OR REPLACE EVENT IF NOT EXISTS `it``s` ON SCHEDULE EVERY 1 DAY DISABLE ON SLAVE COMMENT 'do enable' DO DO 1",
            "ALTER EVENT old ENABLE",
            "ALTER EVENT shop.kept ON COMPLETION PRESERVE RENAME TO `audit`.`moved`",
            "CREATE TABLE event (DISABLE int)",
            "DROP EVENT tick",
        ] {
            off.follow("shop", text);
        }
        assert_eq!(off, Off([key("audit", "idle"), key("shop", "it`s"), key("audit", "moved")].into()));
        off.follow("audit", "CREATE EVENT IDLE ON SCHEDULE EVERY 1 SECOND DO DO 1");
        assert_eq!(off.statements().lines().count(), 3);
    }
}
