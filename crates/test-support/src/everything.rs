//! Everything that a database holds, for tests that look for what it must not hold.

use crate::database::TestDatabase;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

impl TestDatabase {
    /// Every value of every table, by `schema.table`, as superuser: each row as text, and under `schema.table.column` the
    /// bytes of each binary value, as far as they are text.
    pub async fn everything(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut connection = self.superuser().await?;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT format('%I.%I', n.nspname, c.relname)
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')",
        )
        .fetch_all(&mut connection)
        .await?;
        let mut found = Vec::new();
        for table in tables {
            let sql = AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
            let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut connection).await?;
            found.extend(rows.into_iter().map(|row| (table.clone(), row)));
            for (column, values) in binary_columns(&mut connection, &table).await? {
                let sql = format!("SELECT v FROM (SELECT {values} AS v FROM {table}) s WHERE v IS NOT NULL");
                let values: Vec<Vec<u8>> =
                    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await?;
                let place = format!("{table}.{column}");
                let text = |bytes: Vec<u8>| (place.clone(), String::from_utf8_lossy(&bytes).into_owned());
                found.extend(values.into_iter().map(text));
            }
        }
        connection.close().await?;
        Ok(found)
    }
}

/// Names of a table's binary columns, each with the expression that gives its values.
async fn binary_columns(connection: &mut PgConnection, table: &str) -> anyhow::Result<Vec<(String, String)>> {
    let sql = "SELECT quote_ident(attname),
                      CASE WHEN atttypid = 'bytea'::regtype THEN quote_ident(attname)
                           ELSE format('unnest(%I)', attname) END
                 FROM pg_attribute
                WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
                  AND atttypid IN ('bytea'::regtype, 'bytea[]'::regtype)";
    Ok(sqlx::query_as(sql).bind(table).fetch_all(connection).await?)
}
