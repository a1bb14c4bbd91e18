//! The names of output columns that the statement doesn't name: those that Postgres gives them (`FigureColname`).

use pg_raw_parse::raw::{CoercionForm, MinMaxOp, SQLValueFunctionOp, SetOperation, SubLinkType, XmlExprOp};
use pg_raw_parse::{Node, nodes};

/// The name of an output column; empty where only the server can tell.
pub(super) fn column_name(node: Node<'_>, server_version: u32) -> String {
    Label::of(node, server_version).map_or_else(|| "?column?".to_owned(), |label| label.name)
}

/// A name, and whether it goes before that of a cast around.
struct Label {
    name: String,
    strong: bool,
}

impl Label {
    fn of(node: Node<'_>, version: u32) -> Option<Self> {
        Some(match node {
            Node::ColumnRef(c) => strong(c.fields().iter().filter_map(|n| n.as_str()).next_back()?),
            Node::A_Indirection(i) => match i.indirection().iter().filter_map(|n| n.as_str()).next_back() {
                Some(name) => strong(name),
                None => return Self::of(i.arg(), version),
            },
            Node::CollateClause(c) => return Self::of(c.arg(), version),
            Node::FuncCall(f) => strong(function(f, version)),
            Node::TypeCast(t) => match (Self::of(t.arg(), version), t.type_name()) {
                (Some(label), _) if label.strong => label,
                (_, Some(ty)) => weak(ty.names().iter().filter_map(|s| s.sval()).next_back()?),
                (label, None) => return label,
            },
            Node::CaseExpr(c) => {
                Self::of(c.defresult(), version).filter(|l| l.strong).unwrap_or_else(|| weak("case"))
            }
            Node::SubLink(link) => return Self::of_sub_link(link, version),
            other => strong(word(other)?),
        })
    }

    fn of_sub_link(link: &nodes::SubLink, version: u32) -> Option<Self> {
        match (link.sub_link_type, link.subselect()) {
            (SubLinkType::EXISTS_SUBLINK, _) => Some(strong("exists")),
            (SubLinkType::ARRAY_SUBLINK, _) => Some(strong("array")),
            (SubLinkType::EXPR_SUBLINK, Node::SelectStmt(s)) => Some(strong(&first_column(s, version))),
            _ => None,
        }
    }
}

fn strong(name: &str) -> Label {
    Label { name: name.to_owned(), strong: true }
}

fn weak(name: &str) -> Label {
    Label { name: name.to_owned(), strong: false }
}

fn function(f: &nodes::FuncCall, version: u32) -> &str {
    match f.funcname().iter().filter_map(|n| n.as_str()).next_back().unwrap_or_default() {
        // What servers before 14 make of EXTRACT.
        "extract" if f.funcformat == CoercionForm::COERCE_SQL_SYNTAX && version < 140_000 => "date_part",
        name => name,
    }
}

fn first_column(s: &nodes::SelectStmt, version: u32) -> String {
    if let (true, Some(left)) = (s.op != SetOperation::SETOP_NONE, s.larg()) {
        return first_column(left, version);
    }
    if !s.values_lists().is_empty() {
        return "column1".into();
    }
    let Some(first) = s.target_list().first() else { return String::new() };
    match (first.name(), first.val()) {
        (Some(name), _) => name.into(),
        (None, Node::ColumnRef(c)) if c.fields().iter().any(|n| matches!(n, Node::A_Star(_))) => {
            String::new()
        }
        (None, node) => column_name(node, version),
    }
}

/// Expressions that are called by the word that they begin with.
fn word(node: Node<'_>) -> Option<&'static str> {
    use SQLValueFunctionOp as Svf;
    use pg_raw_parse::raw::A_Expr_Kind;
    Some(match node {
        Node::A_Expr(e) if e.kind == A_Expr_Kind::AEXPR_NULLIF => "nullif",
        Node::CoalesceExpr(_) => "coalesce",
        Node::MinMaxExpr(m) if m.op == MinMaxOp::IS_GREATEST => "greatest",
        Node::MinMaxExpr(_) => "least",
        Node::A_ArrayExpr(_) => "array",
        Node::RowExpr(_) => "row",
        Node::GroupingFunc(_) => "grouping",
        Node::MergeSupportFunc(_) => "merge_action",
        Node::XmlSerialize(_) => "xmlserialize",
        Node::XmlExpr(x) => match x.op {
            XmlExprOp::IS_XMLCONCAT => "xmlconcat",
            XmlExprOp::IS_XMLELEMENT => "xmlelement",
            XmlExprOp::IS_XMLFOREST => "xmlforest",
            XmlExprOp::IS_XMLPARSE => "xmlparse",
            XmlExprOp::IS_XMLPI => "xmlpi",
            XmlExprOp::IS_XMLROOT => "xmlroot",
            _ => return None,
        },
        Node::SQLValueFunction(f) => match f.op {
            Svf::SVFOP_CURRENT_DATE => "current_date",
            Svf::SVFOP_CURRENT_TIME | Svf::SVFOP_CURRENT_TIME_N => "current_time",
            Svf::SVFOP_CURRENT_TIMESTAMP | Svf::SVFOP_CURRENT_TIMESTAMP_N => "current_timestamp",
            Svf::SVFOP_LOCALTIME | Svf::SVFOP_LOCALTIME_N => "localtime",
            Svf::SVFOP_LOCALTIMESTAMP | Svf::SVFOP_LOCALTIMESTAMP_N => "localtimestamp",
            Svf::SVFOP_CURRENT_ROLE => "current_role",
            Svf::SVFOP_CURRENT_USER => "current_user",
            Svf::SVFOP_USER => "user",
            Svf::SVFOP_SESSION_USER => "session_user",
            Svf::SVFOP_CURRENT_CATALOG => "current_catalog",
            Svf::SVFOP_CURRENT_SCHEMA => "current_schema",
            _ => return None,
        },
        _ => return None,
    })
}
