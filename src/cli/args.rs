//! The command line.

use crate::admin::tokens::Role;
use crate::telemetry::LogFormat;
use clap::{Args as ClapArgs, Parser, Subcommand};
use std::path::PathBuf;

/// Encrypts personal fields and pseudonymises identifiers between an application and its database.
#[derive(Debug, Parser)]
#[command(name = "paravent", version, about)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the whole story on throwaway data: load, read, erase, restore
    Demo {
        /// How many people the directory holds
        #[arg(long, default_value_t = crate::demo::PEOPLE)]
        people: usize,
    },
    /// Run the gateway
    Serve(Serve),
    /// Check the policy, and against the live schema where the database answers
    Check(Check),
    /// Root keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// The keystore's backups
    #[command(subcommand)]
    Keystore(KeystoreCommand),
    /// One person's data, through a running gateway's admin API
    #[command(subcommand)]
    Subject(SubjectCommand),
    /// What a running gateway does in the background
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// Receipts of erasures
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// The log of who opened what
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Who may use the admin API
    #[command(subcommand)]
    Admin(AdminCommand),
}

#[derive(Debug, ClapArgs)]
pub(super) struct ConfigFile {
    /// The configuration file
    #[arg(long = "config", value_name = "FILE", env = "PARAVENT_CONFIG", default_value = "paravent.toml")]
    pub(super) path: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// What is logged, such as info or paravent::pg=debug (else PARAVENT_LOG)
    #[arg(long, value_name = "FILTER")]
    pub(super) log: Option<String>,
    /// How log lines are written
    #[arg(long, value_enum, default_value_t, env = "PARAVENT_LOG_FORMAT")]
    pub(super) log_format: LogFormat,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Check {
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// The file alone: don't ask the database
    #[arg(long)]
    pub(super) offline: bool,
    /// Have the database itself refuse clear values in protected columns, whoever writes them
    #[arg(long, conflicts_with = "offline")]
    pub(super) guard: bool,
    /// Take the guard away: columns get their former types back
    #[arg(long, requires = "guard")]
    pub(super) remove: bool,
    /// Tell what would be done, and change nothing
    #[arg(long, requires = "guard")]
    pub(super) dry_run: bool,
    /// The database to guard, with the login of its tables' owner: postgres://owner@host/database (default: each
    /// `upstream` of the configuration). Its password may stand in PARAVENT_DATABASE_PASSWORD
    #[arg(long, value_name = "URL", requires = "guard")]
    pub(super) database: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make the key file with its first root key (mode 0600); never replaces one
    Generate(ConfigFile),
    /// List generations and when their root keys were made, never the keys; with --admin, how far each has come
    List {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        admin: MaybeAdmin,
    },
    /// Rotate the root key of a running gateway, and show how far it is
    Rotate {
        #[command(flatten)]
        admin: Api,
        /// Don't wait for the end
        #[arg(long)]
        no_wait: bool,
    },
    /// Destroy a generation that nothing depends on any more
    Destroy {
        /// Its number
        generation: u32,
        #[command(flatten)]
        admin: Api,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum KeystoreCommand {
    /// Make a backup and verify it: of a running gateway through its admin API, else of the files
    Backup {
        /// A folder, or a file that isn't there yet (default: `backup` in [keys])
        to: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        admin: MaybeAdmin,
    },
    /// Put a backup in the keystore's place, while the gateway is stopped; the ledger is applied at once
    Restore {
        /// The backup
        file: PathBuf,
        #[command(flatten)]
        config: ConfigFile,
    },
}

/// Where a running gateway may be.
#[derive(Debug, ClapArgs)]
pub(super) struct MaybeAdmin {
    /// The admin API of the running gateway: http://127.0.0.1:7400, https://host:port or unix:/path. The token comes from
    /// PARAVENT_ADMIN_TOKEN
    #[arg(long, value_name = "URL")]
    pub(super) admin: Option<String>,
    #[command(flatten)]
    pub(super) tls: AdminTls,
}

#[derive(Debug, Subcommand)]
pub(super) enum SubjectCommand {
    /// Print the subject's state
    Show(SubjectArgs),
    /// Destroy the subject's keys and print the receipt
    Erase {
        #[command(flatten)]
        subject: SubjectArgs,
        /// On what ground, for the receipt: "art. 17"
        #[arg(long)]
        ground: Option<String>,
    },
    /// List creations through HTTP whose outcome is unknown: each may be anybody's of its class until it is found
    Unsettled(Api),
    /// Print all protected fields of the subject, from every declared place, as JSON
    Export(SubjectArgs),
    /// Keep the subject's values and make reading them an error
    Restrict(SubjectArgs),
    /// Let a restricted subject's values be read again
    Release(SubjectArgs),
    /// Give the subject new keys, seal all its values again, and destroy the old keys
    Rekey {
        #[command(flatten)]
        subject: SubjectArgs,
        /// Don't wait for the end
        #[arg(long)]
        no_wait: bool,
    },
}

#[derive(Debug, ClapArgs)]
pub(super) struct SubjectArgs {
    /// The subject's class, such as person
    pub(super) class: String,
    /// The subject's id within its class
    pub(super) id: String,
    /// The subject's realm, where there are several
    #[arg(long)]
    pub(super) realm: Option<String>,
    #[command(flatten)]
    pub(super) api: Api,
}

/// Where a running gateway's admin API is.
#[derive(Debug, ClapArgs)]
pub(super) struct Api {
    /// The admin API: http://127.0.0.1:7400, https://host:port or unix:/path. The token comes from PARAVENT_ADMIN_TOKEN
    #[arg(long, value_name = "URL", env = "PARAVENT_ADMIN_URL", default_value = "http://127.0.0.1:7400")]
    pub(super) admin: String,
    #[command(flatten)]
    pub(super) tls: AdminTls,
}

/// What an https listener of the admin API is shown, and must show.
#[derive(Debug, ClapArgs)]
pub(super) struct AdminTls {
    /// PEM file of the certificate that signed an https listener's
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// PEM file of a client certificate, for a listener that asks for one; it stands for a token, too
    #[arg(long, value_name = "FILE", env = "PARAVENT_ADMIN_CERT", requires = "admin_key")]
    pub(super) admin_cert: Option<PathBuf>,
    /// PEM file of the certificate's private key
    #[arg(long, value_name = "FILE", env = "PARAVENT_ADMIN_KEY", requires = "admin_cert")]
    pub(super) admin_key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum JobsCommand {
    /// List the newest jobs
    List(Api),
    /// Try again at once whatever waits: sweeps and re-keyings that a place refused, a rotation
    Resume(Api),
}

#[derive(Debug, Subcommand)]
pub(super) enum ReceiptCommand {
    /// Check a receipt's signature, without a gateway; exit code 1 when it doesn't hold
    Verify {
        /// The receipt, as the gateway gave it (- for standard input)
        file: PathBuf,
        /// The public key that you trust: a PEM file, or 64 hexadecimal digits
        #[arg(long, value_name = "PUB")]
        key: String,
        /// Check also that it is about this subject, with the salt in the receipt or in --salt
        #[arg(long, num_args = 2, value_names = ["CLASS", "ID"])]
        subject: Option<Vec<String>>,
        /// The salt that came with the erasure's answer, where the receipt is a later copy
        #[arg(long, value_name = "HEX", requires = "subject")]
        salt: Option<String>,
    },
    /// Print the public key that this gateway's receipts verify with
    Key {
        #[command(flatten)]
        config: ConfigFile,
        /// As PEM, for other tools
        #[arg(long)]
        pem: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Check the log's files, without a gateway; exit code 1 when they don't hold together
    Verify {
        /// The log's directory (else [audit] path of the configuration)
        #[arg(long = "path", value_name = "DIR")]
        dir: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigFile,
        /// The public key that the log's own heads are signed with: a PEM file, or 64 hexadecimal digits
        #[arg(long, value_name = "PUB")]
        key: Option<String>,
        /// A head that was kept elsewhere: nothing may be cut off behind it
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Vec<String>,
    },
    /// Whose data was opened, by whom and when, as JSON
    Report {
        /// Not before: RFC 3339, such as 2026-01-02T03:04:05Z
        #[arg(long)]
        from: Option<String>,
        /// Not after
        #[arg(long)]
        to: Option<String>,
        /// Only this database user, application, or principal of the admin API
        #[arg(long)]
        principal: Option<String>,
        /// Only this field
        #[arg(long)]
        field: Option<String>,
        /// Read this directory, without a gateway: people by stand-in only
        #[arg(long, value_name = "DIR", conflicts_with = "admin")]
        path: Option<PathBuf>,
        #[command(flatten)]
        api: Api,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AdminCommand {
    /// Append a client certificate's line to the token file
    Certificate {
        /// The certificate, in PEM
        #[arg(long, value_name = "FILE")]
        pem: PathBuf,
        #[command(flatten)]
        token: Token,
    },
    /// Make a token, print it once, and append its hash to the token file
    Token(Token),
}

#[derive(Debug, ClapArgs)]
pub(super) struct Token {
    /// Whose token it is: one word, in logs and the token file
    #[arg(long)]
    pub(super) name: String,
    /// What its bearer may do
    #[arg(long, value_enum)]
    pub(super) role: Role,
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// The token file, without reading the configuration
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
