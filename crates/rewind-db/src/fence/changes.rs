//! Making many changes of logins in few statements. A server with thousands of tenants is fenced within seconds by that, and one
//! change that the server refuses still stops no other.

use crate::engine::LoginOperations;
use crate::engine::logins::Direction;
use crate::error::StatementError;
use rewind_core::StepError;

/// The reaction to other sessions that are in the way of a statement.
pub(super) trait OnConflict: Send {
    /// Makes way for the statement with these changes, or waits; false to give up on it.
    fn make_way(&mut self, changes: &[String]) -> impl Future<Output = Result<bool, StepError>> + Send;
}

/// Makes all changes, and returns for each the reason where the server refused it.
pub(super) async fn make_changes<C: LoginOperations>(
    connection: &C,
    direction: Direction,
    changes: &[String],
    on_conflict: &mut impl OnConflict,
) -> Result<Vec<Option<String>>, StepError> {
    let mut refused = vec![None; changes.len()];
    let at_once = connection.changes_at_once();
    // Last first, because the next is taken from the end.
    let starts = (0..changes.len()).step_by(at_once).rev();
    let mut ranges: Vec<_> = starts.map(|start| start..changes.len().min(start + at_once)).collect();
    while let Some(range) = ranges.pop() {
        let Some(batch) = changes.get(range.clone()) else { continue };
        let sql = connection.statement(direction, batch);
        let why = match connection.execute(&sql).await {
            Ok(()) => continue,
            Err(error) if connection.is_conflict(&error) => {
                if on_conflict.make_way(batch).await? {
                    ranges.push(range);
                    continue;
                }
                error
            }
            Err(error @ StatementError::Refused(_)) => error,
            Err(error) => return Err(error.into()),
        };
        // One of them is the reason for the refusal of all: halves find it in few statements, and make the others.
        if range.len() > 1 {
            let middle = range.start + range.len() / 2;
            ranges.extend([middle..range.end, range.start..middle]);
        } else if !connection.is_gone(&why)
            && let Some(refused) = refused.get_mut(range.start)
        {
            *refused = Some(match why {
                StatementError::Refused(error) => error.to_string(),
                _ => "other sessions were in its way".to_owned(),
            });
        }
    }
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::login_state::LoginState;
    use crate::engine::logins::{CloseLogin, RestoreLogin};
    use crate::engine::record::LoginRecord;
    use crate::engine::{Connection, QueryResult};
    use crate::error::DatabaseError;
    use std::sync::Mutex;
    use std::time::Duration;

    /// A server that makes all changes of a statement or none.
    #[derive(Default)]
    struct Fake {
        made: Mutex<Vec<String>>,
        statements: Mutex<usize>,
        /// The statements that find another session in their way.
        conflicts: Mutex<usize>,
    }

    impl Connection for Fake {
        async fn query(&self, _: &str, _: usize, _: Duration) -> Result<QueryResult, StatementError> {
            Ok(QueryResult::default())
        }

        async fn execute(&self, sql: &str) -> Result<(), StatementError> {
            *self.statements.lock().unwrap() += 1;
            let mut conflicts = self.conflicts.lock().unwrap();
            if *conflicts > 0 {
                *conflicts -= 1;
                return Err(StatementError::TimedOut);
            }
            if sql.contains("gone") || sql.contains("bad") {
                let code = if sql.contains("bad") { "42501" } else { "42704" }.to_owned();
                return Err(StatementError::Refused(DatabaseError { code, message: "no".to_owned() }));
            }
            self.made.lock().unwrap().extend(sql.split(' ').map(str::to_owned));
            Ok(())
        }

        async fn count_columns(&self, _: &str, _: Duration) -> Result<usize, StatementError> {
            Ok(0)
        }

        async fn close(self) {}
    }

    impl LoginOperations for Fake {
        async fn prepare_changes(&self) -> Result<(), StatementError> {
            Ok(())
        }

        async fn read_logins(&self) -> Result<LoginState, StepError> {
            Ok(LoginState::default())
        }

        async fn close_logins(&self, _: &LoginState, _: &LoginRecord) -> Result<Vec<CloseLogin>, StepError> {
            Ok(Vec::new())
        }

        async fn restore_logins(&self, _: &LoginRecord) -> Result<Vec<RestoreLogin>, StepError> {
            Ok(Vec::new())
        }

        fn changes_at_once(&self) -> usize {
            100
        }

        fn statement(&self, _: Direction, changes: &[String]) -> String {
            changes.join(" ")
        }

        fn is_conflict(&self, error: &StatementError) -> bool {
            matches!(error, StatementError::TimedOut)
        }

        fn is_gone(&self, error: &StatementError) -> bool {
            error.has_code("42704")
        }
    }

    /// Tries again, or gives up at once.
    struct Again(bool);

    impl OnConflict for Again {
        async fn make_way(&mut self, _: &[String]) -> Result<bool, StepError> {
            Ok(self.0)
        }
    }

    fn changes(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("c{n:04}")).collect()
    }

    #[tokio::test]
    async fn thousands_of_changes_are_made_in_order_and_in_few_statements() {
        let (fake, wanted) = (Fake::default(), changes(2_050));
        let refused = make_changes(&fake, Direction::Close, &wanted, &mut Again(false)).await;
        assert_eq!(refused.unwrap(), vec![None; 2_050]);
        assert_eq!(*fake.made.lock().unwrap(), wanted);
        assert_eq!(*fake.statements.lock().unwrap(), 21);
    }

    #[tokio::test]
    async fn one_that_is_refused_and_one_that_is_gone_stop_no_other() {
        let (fake, mut wanted) = (Fake::default(), changes(250));
        wanted[17] = "bad".to_owned();
        wanted[120] = "gone".to_owned();
        let refused = make_changes(&fake, Direction::Restore, &wanted, &mut Again(false)).await;
        let refused = refused.unwrap();
        assert_eq!(refused.iter().flatten().collect::<Vec<_>>(), ["no (42501)"]);
        assert!(refused[17].is_some());
        assert_eq!(fake.made.lock().unwrap().len(), 248);
        assert!(*fake.statements.lock().unwrap() < 35, "{:?}", fake.statements);
    }

    #[tokio::test]
    async fn a_conflict_is_tried_again_until_it_is_given_up() {
        let wanted = changes(3);
        let fake = Fake { conflicts: Mutex::new(2), ..Fake::default() };
        let refused = make_changes(&fake, Direction::Close, &wanted, &mut Again(true)).await.unwrap();
        assert_eq!((refused, fake.made.lock().unwrap().clone()), (vec![None; 3], wanted.clone()));
        let fake = Fake { conflicts: Mutex::new(99), ..Fake::default() };
        let refused = make_changes(&fake, Direction::Close, &wanted, &mut Again(false)).await.unwrap();
        assert!(refused.iter().all(Option::is_some) && fake.made.lock().unwrap().is_empty(), "{refused:?}");
    }
}
