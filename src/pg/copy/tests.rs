use super::*;
use proptest::prelude::*;

/// All that a stream holds: the cuts' contents, in words.
fn read(options: &Options, chunks: &[&[u8]]) -> Result<Vec<(char, Vec<u8>)>, CopyError> {
    let mut reader = Reader::default();
    let mut held: Vec<u8> = Vec::new();
    let mut found = Vec::new();
    for (n, chunk) in chunks.iter().enumerate() {
        held.extend_from_slice(chunk);
        let end = n + 1 == chunks.len();
        loop {
            let (kind, content, total) = match reader.next(options, &held, end)? {
                Cut::More => break,
                Cut::Head { total } => ('h', total, total),
                Cut::Names { content, total } => ('n', content, total),
                Cut::Row { content, total } => ('r', content, total),
                Cut::End { .. } => {
                    found.push(('e', Vec::new()));
                    break;
                }
            };
            found.push((kind, held[..content].to_vec()));
            held.drain(..total);
        }
        if found.last().is_some_and(|f| f.0 == 'e') {
            break;
        }
    }
    Ok(found)
}

fn values(options: &Options, row: &[u8]) -> Result<Vec<Option<Vec<u8>>>, CopyError> {
    let mut cells = Vec::new();
    options.cells(row, false, &mut cells)?;
    Ok(cells
        .into_iter()
        .map(|cell| {
            let mut out = Vec::new();
            options.value(&row[cell.raw], &mut out);
            (!cell.null).then_some(out)
        })
        .collect())
}

fn rows(options: &Options, data: &[u8]) -> Vec<Vec<Option<String>>> {
    let cuts = read(options, &[data]).unwrap();
    let of = |row: &[u8]| {
        let values = values(options, row).unwrap().into_iter();
        values.map(|v| v.map(|v| String::from_utf8(v).unwrap())).collect()
    };
    cuts.iter().filter(|c| c.0 == 'r').map(|c| of(&c.1)).collect()
}

fn some<const N: usize>(values: [&str; N]) -> Vec<Option<String>> {
    values.iter().map(|v| (*v != "NULL").then(|| (*v).to_owned())).collect()
}

fn csv() -> Options {
    Options::new(Style::Csv)
}

#[test]
fn text_reads_as_the_server_reads_it() {
    let options = Options::new(Style::Text);
    let data = b"1\ta\\tb\\\\c\\nd\t\\N\n2\t\\x41\\101\\q\\x\t\n3\tx\\\ny\t\\\\N";
    assert_eq!(
        rows(&options, data),
        [some(["1", "a\tb\\c\nd", "NULL"]), some(["2", "AAqx", ""]), some(["3", "x\ny", "\\N"])]
    );
}

#[test]
fn csv_reads_as_the_server_reads_it() {
    let data = b"1,\"a,\"\"b\"\"\n c\",,\"\"\r\n2,x\"y,\"z,\\.,x\r\n";
    assert_eq!(rows(&csv(), data), [some(["1", "a,\"b\"\n c", "NULL", ""]), some(["2", "xy,z", "\\.", "x"])]);
    let mut other = csv();
    (other.escape, other.quote, other.delimiter) = (b'\\', b'\'', b';');
    assert_eq!(rows(&other, b"'a\\'b\\\\';c\\'d\n';"), [some(["a'b\\", "c\\d\n", "NULL"])]);
}

#[test]
fn null_is_what_the_options_say() {
    let mut options = csv();
    options.null = (*b"nil").into();
    options.force_null = Forced::Columns(vec![1]);
    options.force_not_null = Forced::Columns(vec![2]);
    assert_eq!(rows(&options, b"nil,\"nil\",nil,\"nil\"\n"), [some(["NULL", "NULL", "nil", "nil"])]);
}

#[test]
fn the_end_is_where_the_server_sees_it() {
    let text = Options::new(Style::Text);
    assert_eq!(rows(&text, b"a\n\\.\nb\n"), [some(["a"])]);
    assert_eq!(rows(&text, b"a\nb\\.\nc\n"), [some(["a"]), some(["b"])]);
    for damaged in [&b"a\n\\."[..], b"\\.x\n", b"a\r\n\\.\n", b"a\n\\.\r\n", b"a\nb\\."] {
        assert!(read(&text, &[damaged]).is_err(), "{damaged:?}");
    }
    let newer = Options { dot_ends: false, ..text };
    assert!(read(&newer, &[b"a\nb\\.\n"]).is_err());
    assert_eq!(rows(&newer, b"a\n\\.\nb\n"), [some(["a"])]);
    assert_eq!(rows(&csv(), b"a\n\\.\nb\n"), [some(["a"])]);
    assert_eq!(rows(&csv(), b"a\n\\.b\n"), [some(["a"]), some(["\\.b"])]);
    let newer = Options { dot_ends: false, ..csv() };
    assert_eq!(rows(&newer, b"a\n\\.\nb\n"), [some(["a"]), some(["\\."]), some(["b"])]);
}

#[test]
fn damaged_lines_are_errors() {
    let text = Options::new(Style::Text);
    for data in [&b"a\nb\r\n"[..], b"a\r\nb\n", b"a\r\nb\rc\r\n", b"a\rb\n"] {
        assert!(read(&text, &[data]).is_err(), "{data:?}");
        assert!(read(&csv(), &[data]).is_err(), "{data:?}");
    }
    assert!(values(&csv(), b"a,\"b").is_err());
}

#[test]
fn a_line_of_names_is_told_apart() {
    let options = Options { header: Header::Match, ..csv() };
    let cuts = read(&options, &[b"id,\"name\"\n1,2\n"]).unwrap();
    assert_eq!(cuts.iter().map(|c| c.0).collect::<String>(), "nre");
}

#[test]
fn binary_reads_what_it_writes_and_refuses_what_is_damaged() {
    let options = Options::new(Style::Binary);
    let mut data = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x02ab".to_vec();
    for row in [[Some(&b"one"[..]), None], [Some(b""), Some(b"\\.\n")]] {
        options.begin_row(2, &mut data);
        for (column, value) in row.into_iter().enumerate() {
            options.write(value, u16::try_from(column).unwrap(), false, &mut data).unwrap();
        }
    }
    let whole = data.clone();
    data.extend_from_slice(&(-1_i16).to_be_bytes());
    let bytes: Vec<&[u8]> = data.chunks(1).collect();
    let cuts = read(&options, &bytes).unwrap();
    assert_eq!(cuts.iter().map(|c| c.0).collect::<String>(), "hrre");
    assert_eq!(values(&options, &cuts[1].1).unwrap(), [Some(b"one".to_vec()), None]);
    assert_eq!(values(&options, &cuts[2].1).unwrap(), [Some(Vec::new()), Some(b"\\.\n".to_vec())]);
    // The trailer may be left out; no part of a row may.
    assert_eq!(read(&options, &[&whole]).unwrap(), cuts);
    for cut in [1, 3, 12, whole.len() - 30] {
        assert!(read(&options, &[&whole[..whole.len() - cut]]).is_err(), "{cut}");
    }
    assert!(read(&options, &[b"PGCOPX\n\xff\r\n\0"]).is_err());
    assert!(read(&options, &[b"PGCOPY\n\xff\r\n\0\0\x01\0\0\0\0\0\0"]).is_err());
    let negative = [&whole[..21], &[0, 1, 0xff, 0xff, 0xff, 0xfe]].concat();
    assert!(read(&options, &[&negative]).is_err());
}

fn options() -> impl Strategy<Value = Options> {
    let style = prop_oneof![Just(Style::Text), Just(Style::Csv), Just(Style::Binary)];
    let delimiter = prop::sample::select(b"\t,;|:~".to_vec());
    let quote = prop::sample::select(b"\"'%".to_vec());
    let escape = prop::sample::select(b"\"'\\".to_vec());
    let null = prop::sample::select(vec![&b"\\N"[..], b"", b"NULL", b"nil"]);
    (style, delimiter, quote, escape, null).prop_map(|(style, delimiter, quote, escape, null)| {
        let null = if style == Style::Text && null.is_empty() { &b"\\N"[..] } else { null };
        Options { delimiter, quote, escape, null: null.into(), ..Options::new(style) }
    })
}

/// Values made of what is special somewhere.
fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    let byte = prop::sample::select("\\\\.N\n\r\t,;|:~\"'%x41 é\u{8}\u{b}nul".as_bytes().to_vec());
    prop::option::of(prop::collection::vec(byte, 0..12))
}

fn pieces<'a>(data: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = data;
    for cut in cuts {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

proptest! {
    #[test]
    fn what_is_written_is_read_however_it_is_cut(
        options in options(),
        table in prop::collection::vec(prop::collection::vec(value(), 3), 0..8),
        cuts in prop::collection::vec(0..40_usize, 0..12),
    ) {
        let mut data = if options.style == Style::Binary { b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec() } else { Vec::new() };
        for row in &table {
            options.begin_row(3, &mut data);
            for (n, value) in row.iter().enumerate() {
                options.separate(n == 0, &mut data);
                options.write(value.as_deref(), u16::try_from(n).unwrap(), false, &mut data).unwrap();
            }
            if options.style != Style::Binary {
                data.push(b'\n');
            }
        }
        let found = read(&options, &pieces(&data, &cuts)).unwrap();
        let rows: Vec<_> = found.iter().filter(|c| c.0 == 'r').collect();
        prop_assert_eq!(rows.len(), table.len());
        for ((_, row), expected) in rows.into_iter().zip(&table) {
            // Text writes a value that looks like its NULL string as it is, as the server does.
            let seen = values(&options, row).unwrap();
            let expected: Vec<_> = expected.iter().map(|value| {
                let confused = options.style == Style::Text && value.as_deref() == Some(&*options.null);
                if confused && !options.null.contains(&b'\\') { None } else { value.clone() }
            }).collect();
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn any_bytes_are_cut_alike_however_they_come(
        options in options(),
        header in prop::bool::ANY,
        data in prop::collection::vec(prop::sample::select(b"\\.\n\r\t,\"'a".to_vec()), 0..60),
        cuts in prop::collection::vec(0..9_usize, 0..20),
    ) {
        let mut options = options;
        if header && options.style != Style::Binary {
            options.header = Header::Line;
        }
        let whole = read(&options, &[&data]);
        let parts = read(&options, &pieces(&data, &cuts));
        prop_assert_eq!(&whole, &parts);
        // What nothing is done to comes out as it came in.
        for (_, row) in whole.unwrap_or_default().iter().filter(|c| c.0 == 'r') {
            let mut cells = Vec::new();
            if options.cells(row, false, &mut cells).is_err() {
                continue;
            }
            let mut out = Vec::new();
            options.begin_row(u16::try_from(cells.len()).unwrap(), &mut out);
            for (n, cell) in cells.iter().enumerate() {
                options.separate(n == 0, &mut out);
                let raw = &row[cell.raw.clone()];
                options.write_raw((options.style != Style::Binary || !cell.null).then_some(raw), &mut out).unwrap();
            }
            prop_assert_eq!(&out, row);
        }
    }
}
