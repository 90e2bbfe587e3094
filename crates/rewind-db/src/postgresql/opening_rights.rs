//! The rights of a login that only reads, in one database: those that it is given, and those that everybody has and that write.

use super::connection::PostgresqlConnection;
use super::quote::{identifier, literal};
use crate::engine::Connection;
use crate::error::StatementError;
use crate::fence::some_of;
use rewind_core::{StepError, timeouts};
use std::collections::BTreeMap;

/// Finds what the role could write to, in whose rows other people's words are: columns, whole tables and sequences; large objects; and
/// functions that act as their owner, which may write.
///
/// A function counts where the role may call it, and where something else calls it without asking for that right: an aggregate, an
/// operator that the planner tries, a range, a cast. One of a trigger counts where the role may make a table, and with it a trigger. What
/// extensions have is left out where it is AWS's: a superuser's.
const WRITABLE: &str = "SELECT pg_catalog.format('%s %I.%I', \
    CASE c.relkind WHEN 'S' THEN 'the sequence' ELSE 'the table' END, n.nspname, c.relname) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_catalog.pg_roles o ON o.oid = c.relowner \
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' \
    AND CASE WHEN c.relkind = 'S' THEN pg_catalog.has_sequence_privilege({role}, c.oid, 'USAGE, UPDATE') \
    WHEN c.relkind IN ('r', 'p', 'v', 'f') THEN \
    pg_catalog.has_table_privilege({role}, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') \
    OR pg_catalog.has_any_column_privilege({role}, c.oid, 'INSERT, UPDATE, REFERENCES') ELSE false END \
    AND NOT (o.rolsuper AND EXISTS (SELECT FROM pg_catalog.pg_depend d \
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')) \
    UNION ALL SELECT pg_catalog.format('the large object %s', m.oid) \
    FROM pg_catalog.pg_largeobject_metadata m, pg_catalog.aclexplode(m.lomacl) a \
    WHERE a.grantee = 0 AND a.privilege_type = 'UPDATE' \
    UNION ALL SELECT pg_catalog.format('the function %I.%I, which acts as its owner', n.nspname, p.proname) \
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
    JOIN pg_catalog.pg_roles o ON o.oid = p.proowner \
    WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
    AND CASE p.prorettype WHEN 'event_trigger'::pg_catalog.regtype THEN false WHEN 'trigger'::pg_catalog.regtype THEN \
    pg_catalog.has_database_privilege({role}, pg_catalog.current_database(), 'TEMPORARY, CREATE') \
    OR EXISTS (SELECT FROM pg_catalog.pg_namespace s WHERE pg_catalog.has_schema_privilege({role}, s.oid, 'CREATE')) \
    ELSE true END \
    AND (pg_catalog.has_function_privilege({role}, p.oid, 'EXECUTE') OR EXISTS (SELECT FROM pg_catalog.pg_depend d \
    WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refobjid = p.oid AND d.classid IN ( \
    'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass, \
    'pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_cast'::pg_catalog.regclass, \
    'pg_catalog.pg_amproc'::pg_catalog.regclass, 'pg_catalog.pg_opclass'::pg_catalog.regclass, \
    'pg_catalog.pg_opfamily'::pg_catalog.regclass))) \
    AND NOT (o.rolsuper AND EXISTS (SELECT FROM pg_catalog.pg_depend d \
    WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')) ORDER BY 1";

/// Finds whose things are, `{things}` of kind, name, owner, whether the role has the right already, and whether policies choose the rows:
/// kind and name, the owner, whether this login has the owner's rights, whether it may take them for a moment, and the rest.
///
/// A role that this login is in already is never taken and given back: giving it back would change what people granted.
const OWNED: &str = "SELECT x.kind, x.name, o.rolname, pg_catalog.pg_has_role(o.oid, 'USAGE'), NOT EXISTS (SELECT \
    FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles me ON me.oid = m.member \
    WHERE m.roleid = o.oid AND me.rolname = current_user \
    AND (pg_catalog.current_setting('server_version_num')::int4 < 160000 OR m.grantor <> 10)), x.has, x.chosen FROM ({things}) x \
    JOIN pg_catalog.pg_database b ON b.datname = pg_catalog.current_database() \
    LEFT JOIN pg_catalog.pg_roles w ON w.rolname = 'pg_database_owner' \
    JOIN pg_catalog.pg_roles o ON o.oid = CASE WHEN x.owner = w.oid THEN b.datdba ELSE x.owner END \
    ORDER BY x.kind <> 'schema', x.name";

/// The tables, views and sequences of people, and the schemas that they are in.
const READABLE: &str = "SELECT DISTINCT 'schema' AS kind, pg_catalog.format('%I', n.nspname) AS name, n.nspowner AS owner, \
    pg_catalog.has_schema_privilege({role}, n.oid, 'USAGE') AS has, false AS chosen \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {people} \
    UNION ALL SELECT c.relkind::text, pg_catalog.format('%I.%I', n.nspname, c.relname), c.relowner, \
    pg_catalog.has_table_privilege({role}, c.oid, 'SELECT'), c.relrowsecurity \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {people}";

/// The schemas and relations in whose rights the role is named.
const GRANTED: &str = "SELECT DISTINCT 'schema' AS kind, pg_catalog.format('%I', n.nspname) AS name, n.nspowner AS owner, \
    false AS has, false AS chosen FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a \
    JOIN pg_catalog.pg_roles r ON r.oid = a.grantee WHERE r.rolname = {role} AND n.nspowner <> r.oid \
    UNION SELECT c.relkind::text, pg_catalog.format('%I.%I', n.nspname, c.relname), c.relowner, false, false \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, pg_catalog.aclexplode(c.relacl) a \
    JOIN pg_catalog.pg_roles r ON r.oid = a.grantee WHERE r.rolname = {role} AND c.relowner <> r.oid";

/// The relations that are people's: what extensions brought is not.
const PEOPLE: &str = "c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't' \
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' \
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
    AND d.objid = c.oid AND d.deptype = 'e')";

/// The most names in one statement.
const AT_ONCE: usize = 200;

/// The way to the rights of an owner, who alone grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// This login has them.
    Own,
    /// It takes the role for the length of one transaction.
    Taken,
    /// It has the role without its rights, as people granted it.
    None,
}

/// The direction of a change of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// The role gets the right to read.
    Grant,
    /// It loses every right.
    Revoke,
}

/// Schemas or relations of one owner; false: schemas.
type Owned = (bool, Way, String);

/// Names what `user` could write to in the database of `inside`.
pub(super) async fn writable(inside: &PostgresqlConnection, user: &str) -> Result<Vec<String>, StepError> {
    Ok(inside.values(&WRITABLE.replace("{role}", &literal(user))).await?)
}

/// Lets `user` read people's tables, views and sequences in the database of `inside`. Returns a sentence for each kind of what it does
/// not read there.
pub(super) async fn grant_reading(inside: &PostgresqlConnection, user: &str) -> Result<Vec<String>, StepError> {
    let things = READABLE.replace("{people}", PEOPLE);
    let (mut chosen, mut foreign) = (Vec::new(), Vec::new());
    let mut missing: BTreeMap<Owned, Vec<String>> = BTreeMap::new();
    for [kind, name, owner, own, can_take, has, by_policies] in owned(inside, user, &things).await? {
        if kind == "f" {
            foreign.push(name);
            continue;
        }
        if by_policies == "t" {
            chosen.push(name.clone());
        }
        if has != "t" {
            missing.entry((kind != "schema", Way::of(&own, &can_take), owner)).or_default().push(name);
        }
    }
    let (refused, reason) = change_all(inside, user, Change::Grant, missing).await?;
    let mut unread = Vec::new();
    if let Some(why) = reason {
        unread.push(format!("not read, because the master user may not grant it: {} ({why})", some_of(&refused, "")));
    }
    if !chosen.is_empty() {
        unread.push(format!("read in part, as policies for rows let everybody see them: {}", some_of(&chosen, "")));
    }
    if !foreign.is_empty() {
        unread.push(format!("not read, because their rows are elsewhere: {}", some_of(&foreign, "")));
    }
    Ok(unread)
}

/// Takes from `user` every right to schemas and relations in the database of `inside`; returns the reason where it cannot.
///
/// `DROP OWNED` takes those that this login could grant as itself, and says nothing of the others.
pub(super) async fn revoke_rights(inside: &PostgresqlConnection, user: &str) -> Result<Option<String>, StepError> {
    let mut granted: BTreeMap<Owned, Vec<String>> = BTreeMap::new();
    for [kind, name, owner, own, can_take, ..] in owned(inside, user, GRANTED).await? {
        granted.entry((kind != "schema", Way::of(&own, &can_take), owner)).or_default().push(name);
    }
    Ok(change_all(inside, user, Change::Revoke, granted).await?.1)
}

impl Way {
    fn of(own: &str, can_take: &str) -> Self {
        match (own, can_take) {
            ("t", _) => Self::Own,
            (_, "t") => Self::Taken,
            _ => Self::None,
        }
    }
}

/// Reads whose `things` are, as [`OWNED`] answers it.
async fn owned(inside: &PostgresqlConnection, user: &str, things: &str) -> Result<Vec<[String; 7]>, StepError> {
    let sql = OWNED.replace("{things}", things).replace("{role}", &literal(user));
    let texts = |row| <[_; 7]>::try_from(row).unwrap_or_default().map(Option::unwrap_or_default);
    Ok(inside.rows(&sql).await?.into_iter().map(texts).collect())
}

/// Changes the rights to all of these; returns what is as it was, each with its owner, and the first reason.
async fn change_all(
    inside: &PostgresqlConnection,
    user: &str,
    change: Change,
    things: BTreeMap<Owned, Vec<String>>,
) -> Result<(Vec<String>, Option<String>), StepError> {
    let (mut refused, mut reason) = (Vec::new(), None);
    for (owned, names) in things {
        for names in names.chunks(AT_ONCE) {
            if let Some(why) = changed(inside, user, change, &owned, names).await? {
                refused.extend(names.iter().map(|name| format!("{name} of {}", owned.2)));
                reason.get_or_insert(why);
            }
        }
    }
    Ok((refused, reason))
}

/// Changes the rights to what one owner has; returns the reason where it cannot.
async fn changed(
    inside: &PostgresqlConnection,
    user: &str,
    change: Change,
    (are_relations, way, owner): &Owned,
    names: &[String],
) -> Result<Option<String>, StepError> {
    let (role, names) = (identifier(user), names.join(", "));
    let change = match (change, are_relations) {
        // Sequences are taken here as well.
        (Change::Grant, true) => format!("GRANT SELECT ON {names} TO {role}"),
        (Change::Grant, false) => format!("GRANT USAGE ON SCHEMA {names} TO {role}"),
        (Change::Revoke, true) => format!("REVOKE ALL ON {names} FROM {role}"),
        (Change::Revoke, false) => format!("REVOKE ALL ON SCHEMA {names} FROM {role}"),
    };
    let owner = identifier(owner);
    let changed = match way {
        Way::Own => inside.execute(&change).await,
        // One transaction: nobody ever sees it with that role.
        Way::Taken => {
            inside.execute(&format!("GRANT {owner} TO CURRENT_USER; {change}; REVOKE {owner} FROM CURRENT_USER")).await
        }
        Way::None => return Ok(Some(format!("it is in the role {owner}, without its rights"))),
    };
    match changed {
        Ok(()) => Ok(None),
        Err(error @ StatementError::Refused(_)) => error.into_reason(timeouts::STATEMENT).map(Some),
        Err(error) => Err(error.into()),
    }
}
