use serde_json::json;

use super::*;

fn sources(language: Language, query: &str) -> Result<Vec<String>, ScanError> {
    Sources::read(language, json!({"query": query}).to_string().as_bytes()).map(|sources| sources.indices)
}

fn told(language: Language, queries: &[(&str, &[&str])]) {
    for (query, expected) in queries {
        assert_eq!(
            sources(language, query).as_deref(),
            Ok(*expected)
                .map(|list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
                .as_deref(),
            "{query}"
        );
    }
}

fn untold(language: Language, queries: &[&str]) {
    for query in queries {
        assert!(
            matches!(sources(language, query), Err(ScanError::Opaque(_))),
            "{query}: {:?}",
            sources(language, query)
        );
    }
}

#[test]
fn the_sources_of_esql_are_told() {
    told(
        Language::Esql,
        &[
            ("FROM a", &["a"]),
            (
                "from logs-*,b-1 , \"c d\" METADATA _id, _index | WHERE x == \"FROM z\" | LIMIT 1",
                &["logs-*", "b-1", "c d"],
            ),
            ("FROM \"\"\"a,b\"\"\"|STATS c = COUNT(*) BY k", &["a", "b"]),
            ("FROM r:a | EVAL s = \"it \\\"is | ENRICH\" | KEEP s", &["r:a"]),
            ("FROM a | LOOKUP JOIN hosts ON host | SORT x", &["a", "hosts"]),
            ("ROW x = 1 | EVAL y = 2", &[]),
            ("TS m | SORT ts", &["m"]),
        ],
    );
}

#[test]
fn esql_whose_sources_cannot_be_told_is_refused() {
    untold(
        Language::Esql,
        &[
            "",
            "SHOW INFO",
            "FROM a | ENRICH policy",
            "FROM a | FORK (WHERE x == 1) (ENRICH p)",
            "FROM a, (FROM b | LIMIT 1)",
            "FROM a [METADATA _id]",
            "FROM a METADATA _id FROM b",
            "FROM a, | LIMIT 1",
            "FROM a b",
            "FROM <a-{now/d}>",
            "FROM a /* | */ | LIMIT 1",
            "FROM a // x\n, b",
            "FROM \"a\\u0062\"",
            "FROM ?i",
            "FROM a | MYSTERY b",
            "FROM a | WHERE x IN (TS b)",
            "FROM a |",
            "ROW x = 1 FROM b",
            "ROW x = (TS b)",
            "FROM a METADATA from",
            "SET x = 1; FROM a",
            "FROM a | LOOKUP b",
            "FROM a\u{a0}, b",
            "FROM \"a",
        ],
    );
}

#[test]
fn the_sources_of_sql_are_told() {
    told(
        Language::Sql,
        &[
            ("SELECT * FROM a", &["a"]),
            ("select count(*) from \"logs-*\" where x = 'from b' group by y", &["logs-*"]),
            ("SELECT a.x FROM a AS q, b r JOIN `c` ON r.x = c.x WHERE 1 = 1", &["a", "b", "c"]),
            ("SELECT * FROM (SELECT x FROM a) t, b LIMIT 1", &["b", "a"]),
            ("SELECT x*2 FROM a WHERE x IN (SELECT y FROM b)", &["a", "b"]),
            ("SELECT *FROM a", &["a"]),
            ("SELECT 'it''s' FROM logs-2026.01,b UNION SELECT 1 FROM c", &["logs-2026.01", "b", "c"]),
            ("SELECT EXTRACT(YEAR FROM day) FROM a", &["day", "a"]),
            ("SELECT 1", &[]),
        ],
    );
}

#[test]
fn sql_whose_sources_cannot_be_told_is_refused() {
    untold(
        Language::Sql,
        &[
            "",
            "SHOW TABLES",
            "DESCRIBE a",
            "DELETE FROM a",
            "WITH x AS (SELECT 1 FROM b) SELECT * FROM x",
            "SELECT * FROM FROZEN a",
            "SELECT * FROM a b c",
            "SELECT * FROM a/*b*/",
            "SELECT * FROM a -- b",
            "SELECT * FROM a # b",
            "SELECT 1FROM a",
            "SELECT * FROM a; SELECT * FROM b",
            "SELECT * FROM \"c\\\"\"",
            "SELECT * FROM ?",
            "SELECT * FROM <a-{now/d}>",
            "SELECT * FROM (VALUES (1))",
            "SELECT * FROM ((SELECT * FROM a))",
            "SELECT * FROM 'a",
            "SELECT * FROM",
        ],
    );
}

#[test]
fn the_sources_of_ppl_are_told() {
    told(
        Language::Ppl,
        &[
            ("source=a", &["a"]),
            ("search source = logs-*, `b` | where x = 'source=c' | fields x", &["logs-*", "b"]),
            ("index=a|head 5", &["a"]),
        ],
    );
}

#[test]
fn ppl_whose_sources_cannot_be_told_is_refused() {
    untold(
        Language::Ppl,
        &[
            "",
            "describe a",
            "show datasources",
            "source=a | lookup b id",
            "source=a | join on x = y b",
            "source=a | where x in [ source = b | fields y ]",
            "source=a | append [ source=b ]",
            "source=[a, b]",
            "source=a | where source = 'x'",
            "source=a x=1",
            "| multisearch [source=a] [source=b]",
            "source=a // b",
        ],
    );
}

#[test]
fn a_query_that_is_continued_is_refused() {
    assert!(matches!(Sources::read(Language::Sql, br#"{"cursor":"x"}"#), Err(ScanError::Opaque(_))));
}

#[test]
fn the_filter_of_a_query_is_read() {
    let body = json!({"query": "FROM a", "filter": {"terms": {"f": {"index": "b", "id": "1", "path": "p"}}}});
    let sources = Sources::read(Language::Esql, body.to_string().as_bytes()).unwrap();
    assert_eq!(sources.mentions.first().unwrap().index, "b");
}

#[test]
fn a_body_without_a_query_is_refused() {
    assert!(matches!(Sources::read(Language::Ppl, b"{}"), Err(ScanError::Malformed(_))));
}
