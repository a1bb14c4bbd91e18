//! `[[postgres]]`: its address, the server behind it, TLS and verifiers; its tables are the policy's.

use super::read::Reader;
use super::section::Section;
use super::{Limits, Listen, Password, PostgresConfig, TlsFiles, Upstream, Verifiers, policy};
use crate::policy::raw::RawTable;
use crate::policy::suggest;
use toml::Spanned;
use toml::de::DeValue;

const LATER_POSTGRES: &[&str] =
    &["bind", "guard", "functions", "auth", "pool", "replication", "protected_since"];

impl Reader<'_> {
    pub(super) fn listeners(&mut self, top: &mut Section<'_>, limits: &Limits) -> Vec<PostgresConfig> {
        let sections = match top.take("postgres").map(|entry| (entry.at, entry.value.get_ref())) {
            None => return Vec::new(),
            Some((_, DeValue::Array(sections))) => sections,
            Some((at, _)) => {
                self.problems.add(at, "postgres is a list: write [[postgres]], with two brackets");
                return Vec::new();
            }
        };
        let mut listeners: Vec<PostgresConfig> = Vec::new();
        for section in sections.iter() {
            let Some((listener, at)) = self.listener(section, limits) else { continue };
            let free_port = matches!(&listener.listen, Listen::Tcp { port: 0, .. });
            if !free_port && listeners.iter().any(|other| other.listen == listener.listen) {
                self.problems.add(at, format!("two [[postgres]] sections listen on {}", listener.listen));
            }
            listeners.push(listener);
        }
        listeners
    }

    fn listener(
        &mut self,
        section: &Spanned<DeValue<'_>>,
        limits: &Limits,
    ) -> Option<(PostgresConfig, usize)> {
        let at = section.span().start;
        let DeValue::Table(table) = section.get_ref() else {
            return self.problems.none(at, "postgres is a list of tables: write [[postgres]]");
        };
        let mut section = Section::new("[[postgres]]", at, table);
        let listen = self.listen(&mut section);
        let upstream = self.upstream(&mut section);
        let (tls, tls_required) = self.tls_with_mode(&mut section);
        let verifiers = self.verifiers(&mut section);
        let tables: Vec<RawTable> = section
            .table("tables", &mut self.problems)
            .map(|(_, table)| policy::tables(table, &mut self.problems))
            .unwrap_or_default();
        section.finish(LATER_POSTGRES, &mut self.problems);
        self.raw.postgres.push(tables);
        let tables = self.raw.postgres.len() - 1;
        let ((at, listen), upstream) = (listen?, upstream?);
        let limits = limits.clone();
        Some((PostgresConfig { listen, upstream, tls, tls_required, verifiers, tables, limits }, at))
    }

    fn upstream(&mut self, section: &mut Section<'_>) -> Option<Upstream> {
        let text = section.required("upstream", &mut self.problems)?;
        let password = (self.env)("PARAVENT_UPSTREAM_PASSWORD").filter(|p| !p.is_empty()).map(Password::new);
        match Upstream::parse(&text.value, password, &self.base) {
            Ok(upstream) => Some(upstream),
            Err(messages) => {
                for message in messages {
                    self.problems.add(text.at, format!("[[postgres]]: upstream: {message}"));
                }
                None
            }
        }
    }

    /// Where roles' verifiers are.
    fn verifiers(&mut self, section: &mut Section<'_>) -> Option<Verifiers> {
        let text = section.string("verifiers", &mut self.problems)?;
        match text.value.strip_prefix("file:").filter(|path| !path.is_empty()) {
            Some(path) => Some(Verifiers::File(self.base.join(path))),
            None if text.value == "pg_authid" => Some(Verifiers::Server),
            None => self.problems.none(text.at, "[[postgres]]: verifiers is \"file:path\" or \"pg_authid\""),
        }
    }

    /// The same with `mode`; whether TLS is required comes second.
    fn tls_with_mode(&mut self, section: &mut Section<'_>) -> (Option<TlsFiles>, bool) {
        let Some((at, table)) = section.table("tls", &mut self.problems) else { return (None, false) };
        let mut inner = Section::new(format!("{}: tls", section.what), at, table);
        let mode = inner.string("mode", &mut self.problems);
        let certified = inner.has("client_ca");
        let required = match mode.as_ref().map(|mode| mode.value.as_str()) {
            None | Some("require") => true,
            Some("offer") if certified => self.problems.none(
                at,
                "[[postgres]]: tls: with mode = \"offer\" a client that leaves TLS out needs no certificate, so that \
                 client_ca would keep nobody out; leave one of them out",
            ).unwrap_or(true),
            Some("offer") => false,
            Some(other) => {
                let hint = suggest(other, &["require", "offer"]);
                let message = format!("[[postgres]]: tls: mode is \"require\" or \"offer\", not \"{other}\"{hint}");
                self.problems.none(at, message).unwrap_or(true)
            }
        };
        (self.tls_files(inner), required)
    }
}
