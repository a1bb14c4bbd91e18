//! The catalog queries. Each gives text columns only, so that the gateway's own login and a client's
//! session (hidden, within its transaction) read them in the same way.

use std::time::Duration;

/// Relations and their live columns: one row per column. Only schemas that users own.
///
/// Columns: relation OID, schema, name, relkind, rules, BEFORE ROW triggers, column name,
/// attnum, type OID (of the base type of a domain), typmod, NOT NULL, generated, with a generation expression, with a default
/// that is neither NULL nor empty, OID of the collation. A default is judged by its tree (a constant, cast or cut to its length by
/// functions 668 and 669, or made one of a domain): to write it as text the server would lock the table, and wait for whoever changes it.
/// Domains are followed once for all, not for each column: the server would take that for so much work that it compiles the query each time.
pub const COLUMNS: &str = "\
WITH RECURSIVE d(domain, base, typmod, kind) AS (
  SELECT t.oid, t.typbasetype, t.typtypmod, 'd'::\"char\" FROM pg_catalog.pg_type t WHERE t.typtype = 'd'
  UNION ALL
  SELECT d.domain, CASE WHEN n.typtype = 'd' THEN n.typbasetype ELSE n.oid END,
    CASE WHEN d.typmod = -1 AND n.typtype = 'd' THEN n.typtypmod ELSE d.typmod END, n.typtype
  FROM d JOIN pg_catalog.pg_type n ON n.oid = d.base WHERE d.kind = 'd'
)
SELECT c.oid::text, n.nspname::text, c.relname::text, c.relkind::text,
  (c.relhasrules AND c.relkind NOT IN ('v', 'm'))::text,
  (c.oid IN (SELECT t.tgrelid FROM pg_catalog.pg_trigger t
             WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND (t.tgtype & 3) = 3))::text,
  a.attname::text, a.attnum::text,
  COALESCE(b.base, t.oid)::text,
  COALESCE(b.typmod, a.atttypmod)::text,
  (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull))::text,
  (a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '')::text,
  (a.attgenerated <> '')::text,
  (f.adbin IS NOT NULL AND a.attgenerated = ''
   AND f.adbin::text !~ ('^(\\{(FUNCEXPR :funcid 66[89] |RELABELTYPE :arg |COERCETODOMAIN :arg )[^{}]*){0,3}\\{CONST [^{}]*'
     || '(:constisnull true [^{}]*|:constvalue 4 \\[ (16 0 0 0|0 0 0 4) \\])\\}([^{}]*\\{CONST [^{}]*\\}){0,2}([^{}]*\\}){0,3}$'))::text,
  a.attcollation::text
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN d b ON b.domain = t.oid AND b.kind <> 'd'
LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY c.oid, a.attnum";

/// Unique and primary keys without predicate or expressions: index OID, relation OID, column name,
/// in index order.
pub const UNIQUE: &str = "\
SELECT i.indexrelid::text, i.indrelid::text, a.attname::text
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY i.indexrelid, k.place";

/// Foreign keys: constraint OID, relation OID, column, referenced relation OID, referenced column.
pub const FOREIGN: &str = "\
SELECT k.oid::text, k.conrelid::text, a.attname::text, k.confrelid::text, f.attname::text
FROM pg_catalog.pg_constraint k
CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS p(here, there, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.here
JOIN pg_catalog.pg_attribute f ON f.attrelid = k.confrelid AND f.attnum = p.there
WHERE k.contype = 'f'
ORDER BY k.oid, p.place";

/// What runs functions whose bodies can be read, at any depth: what uses one, and what uses that. A part counts as what it is
/// part of: a trigger, rule, default, constraint, index, policy as its relation, a domain's constraint as the domain, the
/// attributes of a composite type as the type, a cast as both its types, an operator family's members as the family. Relations end it, but for the types of their rows: what reads one is in [`VIEWS`].
///
/// Columns: what it is (an operator class counts as a type), its class, OID and name, how it uses the other (`policy`, `before` of a trigger that may change the row, `truncate` of one that TRUNCATE runs), class and OID of the
/// other. Further, as `args`, the arguments of triggers that change the row by a function that can't be read; as `remote`, the
/// name that a foreign table has over there.
pub const USES: &str = "\
WITH RECURSIVE part(class, id, whole_class, whole, how) AS (
  SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass::oid, r.oid, 'pg_catalog.pg_class'::pg_catalog.regclass::oid, r.ev_class, ''
  FROM pg_catalog.pg_rewrite r WHERE r.oid >= 16384
  UNION ALL SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, f.oid, 'pg_catalog.pg_class'::pg_catalog.regclass, f.adrelid, ''
  FROM pg_catalog.pg_attrdef f
  UNION ALL SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid, 'pg_catalog.pg_class'::pg_catalog.regclass, t.tgrelid,
    CASE WHEN (t.tgtype & 3) = 3 THEN 'before' WHEN (t.tgtype & 32) <> 0 THEN 'truncate' ELSE '' END
  FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
  UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid,
    CASE WHEN k.conrelid = 0 THEN 'pg_catalog.pg_type'::pg_catalog.regclass ELSE 'pg_catalog.pg_class'::pg_catalog.regclass END,
    k.conrelid::pg_catalog.int8 + k.contypid::pg_catalog.int8, ''
  FROM pg_catalog.pg_constraint k WHERE k.contype IN ('c', 'x')
  UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid, 'pg_catalog.pg_class'::pg_catalog.regclass, i.indrelid, ''
  FROM pg_catalog.pg_index i WHERE i.indexrelid >= 16384
  UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 'pg_catalog.pg_type'::pg_catalog.regclass, c.reltype, ''
  FROM pg_catalog.pg_class c WHERE c.relkind = 'c'
  UNION ALL SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass, y.oid, 'pg_catalog.pg_class'::pg_catalog.regclass, y.polrelid, 'policy'
  FROM pg_catalog.pg_policy y
  UNION ALL SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, x.oid, 'pg_catalog.pg_class'::pg_catalog.regclass, x.stxrelid, ''
  FROM pg_catalog.pg_statistic_ext x
  UNION ALL SELECT 'pg_catalog.pg_amproc'::pg_catalog.regclass, m.oid, 'pg_catalog.pg_opfamily'::pg_catalog.regclass, m.amprocfamily, ''
  FROM pg_catalog.pg_amproc m WHERE m.oid >= 16384
  UNION ALL SELECT 'pg_catalog.pg_amop'::pg_catalog.regclass, o.oid, 'pg_catalog.pg_opfamily'::pg_catalog.regclass, o.amopfamily, ''
  FROM pg_catalog.pg_amop o WHERE o.oid >= 16384
  UNION ALL SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass, s.oid, 'pg_catalog.pg_type'::pg_catalog.regclass, s.castsource, ''
  FROM pg_catalog.pg_cast s WHERE s.castsource >= 16384
  UNION ALL SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass, s.oid, 'pg_catalog.pg_type'::pg_catalog.regclass, s.casttarget, ''
  FROM pg_catalog.pg_cast s WHERE s.casttarget >= 16384
), used(class, id, how, on_class, on_id) AS (
  SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass::oid, p.oid, '', 0::oid, 0::oid
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  WHERE p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal')
  UNION
  SELECT COALESCE(w.whole_class, d.classid), COALESCE(w.whole::oid, d.objid), COALESCE(w.how, ''), d.refclassid, d.refobjid
  FROM used u
  JOIN pg_catalog.pg_depend d ON d.refclassid = u.class AND d.refobjid = u.id
  LEFT JOIN part w ON w.class = d.classid AND w.id = d.objid
  WHERE u.class <> 'pg_catalog.pg_class'::pg_catalog.regclass OR d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
)
SELECT CASE u.class WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN 'relation' WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN 'function'
    WHEN 'pg_catalog.pg_operator'::pg_catalog.regclass THEN 'operator' WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN 'type'
    WHEN 'pg_catalog.pg_opclass'::pg_catalog.regclass THEN 'type' ELSE 'other' END,
  u.class::text, u.id::text,
  CASE u.class WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN (SELECT p.proname::text FROM pg_catalog.pg_proc p WHERE p.oid = u.id)
    WHEN 'pg_catalog.pg_operator'::pg_catalog.regclass THEN (SELECT o.oprname::text FROM pg_catalog.pg_operator o WHERE o.oid = u.id)
    WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN (SELECT t.typname::text FROM pg_catalog.pg_type t WHERE t.oid = u.id)
    WHEN 'pg_catalog.pg_opclass'::pg_catalog.regclass THEN (SELECT c.opcname::text FROM pg_catalog.pg_opclass c WHERE c.oid = u.id) END,
  u.how, u.on_class::text, u.on_id::text
FROM used u
WHERE u.on_id <> 0
UNION ALL
SELECT 'args', NULL, t.tgrelid::text, pg_catalog.encode(t.tgargs, 'escape'), NULL, NULL, NULL
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND (t.tgtype & 3) = 3 AND t.tgnargs > 0 AND l.lanname IN ('c', 'internal')
UNION ALL
SELECT 'remote', NULL, f.ftrelid::text, COALESCE(
  (SELECT pg_catalog.substr(x.option, 12) FROM pg_catalog.unnest(f.ftoptions) x(option) WHERE x.option LIKE 'table_name=%'),
  c.relname::text), NULL, NULL, NULL
FROM pg_catalog.pg_foreign_table f JOIN pg_catalog.pg_class c ON c.oid = f.ftrelid
ORDER BY 1, 2, 3, 6, 7";

/// Which view (rewritten relation) depends on which relation. Both OIDs.
pub const VIEWS: &str = "\
SELECT DISTINCT r.ev_class::text, d.refobjid::text
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  AND d.refobjid <> r.ev_class AND d.refobjid >= 16384";

/// Which table is a child or partition of which: both OIDs. And by which columns a table is partitioned, also within
/// expressions: its OID, NULL, their names. (Its key's columns depend on it, so that none is dropped by itself.)
/// Of a key that is the whole row, all of them.
pub const HIERARCHY: &str = "\
SELECT i.inhrelid::text, i.inhparent::text, NULL::text
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p', 'f')
UNION ALL
SELECT p.partrelid::text, NULL::text,
  COALESCE((SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ' ' ORDER BY a.attnum)
   FROM pg_catalog.pg_attribute a
   WHERE a.attrelid = p.partrelid AND (a.attnum = ANY (p.partattrs) OR EXISTS (
     SELECT FROM pg_catalog.pg_depend d
     WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = a.attrelid AND d.objsubid = a.attnum
       AND d.refclassid = d.classid AND d.refobjid = d.objid AND d.refobjsubid = 0 AND d.deptype = 'i'))),
   (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ' ' ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = p.partrelid AND a.attnum > 0), '')
FROM pg_catalog.pg_partitioned_table p
ORDER BY 1, 2";

/// Functions and procedures that users made: OID, name, language, body (NULL where it is kept parsed, as `BEGIN ATOMIC`), the
/// names of relations that it depends on, and whether it is for triggers. (To write a parsed body as text, the server would look up what another session may
/// drop at that moment, and fail.)
pub const FUNCTIONS: &str = "\
SELECT p.oid::text, p.proname::text, l.lanname::text, NULLIF(p.prosrc, ''), (
    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(c.relname), ' ' ORDER BY d.refobjid, d.refobjsubid)
    FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_class c ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
  ), (p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype)::text
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE p.oid >= 16384 AND p.prokind <> 'a' AND l.lanname NOT IN ('c', 'internal')";

/// The database's collation (OID 0, and its encoding in the place of a schema), those that columns have, and a few
/// that statements may name: OID, schema, name, provider, collate, ctype, locale, rules, deterministic. Some of
/// these columns have other names in other versions, or aren't there.
pub const COLLATIONS: &str = "\
SELECT '0', pg_catalog.pg_encoding_to_char(d.encoding)::text, 'default',
  COALESCE(j.row ->> 'datlocprovider', 'c'), d.datcollate::text, d.datctype::text,
  COALESCE(j.row ->> 'datlocale', j.row ->> 'daticulocale'), j.row ->> 'daticurules', 'true'
FROM pg_catalog.pg_database d, LATERAL (SELECT pg_catalog.to_jsonb(d)) j(row)
WHERE d.datname = pg_catalog.current_database()
UNION ALL
SELECT c.oid::text, n.nspname::text, c.collname::text, c.collprovider::text, j.row ->> 'collcollate',
  j.row ->> 'collctype', COALESCE(j.row ->> 'colllocale', j.row ->> 'colliculocale'), j.row ->> 'collicurules',
  c.collisdeterministic::text
FROM pg_catalog.pg_collation c
JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace, LATERAL (SELECT pg_catalog.to_jsonb(c)) j(row)
WHERE c.collprovider <> 'd' AND c.collencoding IN (-1, 6)
  AND (c.collname IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8', 'ucs_basic', 'unicode', 'und-x-icu', 'pg_c_utf8')
       OR c.oid >= 16384
       OR c.oid IN (SELECT a.attcollation FROM pg_catalog.pg_attribute a WHERE a.attrelid >= 16384))";

/// A digest of the rules of a view `c`: its query as the server keeps it, by numbers. (SHA-256 of the bytes, since the server may lack MD5.)
const DIGEST: &str = "\
(SELECT pg_catalog.string_agg(
   pg_catalog.encode(pg_catalog.sha256(pg_catalog.textsend(r.ev_action::text)), 'hex'), ' ' ORDER BY r.oid)
 FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid)";

fn list(views: &[u32]) -> String {
    let oids: Vec<String> = views.iter().map(u32::to_string).collect();
    oids.join(", ")
}

/// Digests of these views: relation OID, digest. With the names in the other answers it tells whether a text is another,
/// without a lock.
fn digests(views: &[u32]) -> String {
    let views = list(views);
    format!("SELECT c.oid::text, {DIGEST} FROM pg_catalog.pg_class c WHERE c.oid IN ({views}) ORDER BY c.oid")
}

/// The texts of these views: relation OID, digest, text. Read with an empty search path, so that all names are qualified. Only
/// of views that are seen through, since the server locks the tables of each: it waits so long for whoever changes one.
pub fn definitions(views: &[u32], patience: Duration) -> String {
    let (views, patience) = (list(views), patience.as_millis());
    format!(
        "SET LOCAL lock_timeout = {patience};\nSELECT c.oid::text, {DIGEST}, pg_catalog.pg_get_viewdef(c.oid) \
         FROM pg_catalog.pg_class c WHERE c.oid IN ({views}) ORDER BY c.oid"
    )
}

/// The columns of the catalog's relations that show types (their place in the order last), and the guard's schema and domains.
pub const MASK: &str = "\
SELECT CASE WHEN a.attrelid = 'pg_catalog.pg_attribute'::pg_catalog.regclass THEN 'attribute' ELSE 'columns' END,
  a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), pg_catalog.lpad(a.attnum::text, 5, '0')
FROM pg_catalog.pg_attribute a
WHERE a.attrelid IN ('pg_catalog.pg_attribute'::pg_catalog.regclass, 'information_schema.columns'::pg_catalog.regclass)
  AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'schema', n.oid::text, NULL, NULL FROM pg_catalog.pg_namespace n WHERE n.nspname = 'paravent'
UNION ALL
SELECT 'domain', t.oid::text, t.typname::text, NULL
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = 'paravent' AND t.typtype = 'd'
ORDER BY 1, 4, 2";

/// The server's version, as a number.
pub const VERSION: &str = "SELECT pg_catalog.current_setting('server_version_num')";

/// All of them, in the order in which `build` takes their rows.
pub const ALL: [&str; 10] =
    [VERSION, COLUMNS, UNIQUE, FOREIGN, VIEWS, FUNCTIONS, USES, COLLATIONS, HIERARCHY, MASK];

/// The text that asks all of them at once, and for the digests of these views after them.
pub fn all_and(views: &[u32]) -> String {
    let mut text = ALL.join(";\n");
    if !views.is_empty() {
        text.push_str(";\n");
        text.push_str(&digests(views));
    }
    text
}
