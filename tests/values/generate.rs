//! Values of every type, in the text forms that clients send: known hard ones, and seeded random ones.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub struct Source {
    kind: String,
    random: StdRng,
}

fn all(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|t| t.as_bytes().to_vec()).collect()
}

/// Values known to be hard, for a column of that type.
pub fn known(sql_type: &str) -> Vec<Vec<u8>> {
    match base(sql_type) {
        "integer" | "bigint" | "int2" | "int4" | "int8" => all(&[
            "0",
            "-0",
            "+1",
            " 42 ",
            "\t7\n",
            "2147483647",
            "2147483648",
            "-2147483648",
            "-2147483649",
            "32767",
            "32768",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "",
            " ",
            "1.0",
            "1e2",
            "0x1F",
            "1_000",
            "abc",
            "1 2",
            "--1",
            "+",
            "007",
        ]),
        "numeric" => all(&[
            "0",
            "-0",
            "0.0",
            "-0.00",
            "1",
            "1.0",
            "1e2",
            "1E+2",
            "1e-2",
            "1.5e3",
            ".5",
            "5.",
            "-.5",
            "00012.3400",
            "NaN",
            "nan",
            "Infinity",
            "-Infinity",
            "inf",
            "+inf",
            "99999999.994",
            "99999999.995",
            "99999999.99",
            "100000000",
            "0.005",
            "0.004",
            "-0.005",
            "0.0099999",
            "0.009995",
            "0.01",
            "1e131071",
            "1e131072",
            "1e-16383",
            "1e-16384",
            "1e-20000",
            "0e200000",
            "1e",
            "1e+",
            ".",
            "",
            " ",
            "1 2",
            "0x1F",
            "1_000",
            "+NaN",
            "-NaN",
            "1e99999999999",
            "1e400000",
            "9999",
            "10000",
            "10000.0001",
            "0.00010000",
            "12345678901234567890.123456789",
            "  7.7  ",
            "--1",
            "1000000000000",
            "infinit",
            "123e-2",
            "-1e-5",
        ]),
        "float4" | "float8" => all(&[
            "0",
            "-0",
            "1",
            "1.5",
            "2.5",
            "3.5",
            "-2.5",
            "1e10",
            "1e-5",
            "123456.789",
            "0.1",
            "33554433",
            "1e300",
            "1e38",
            "NaN",
            "Infinity",
            "-Infinity",
            "123456789012345678",
            "2147483647.4",
            "2147483647.5",
            "9.2233720368547758e18",
        ]),
        "boolean" | "bool" => all(&[
            "t", "true", "TRUE", "tr", "y", "yes", "on", "1", " true ", "f", "false", "fal", "n", "no",
            "off", "of", "0", "o", "", "2", "truely", "\tF\n", "yess", "10", "nope", "ON",
        ]),
        "uuid" => all(&[
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
            "{a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11}",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1x",
            "",
            "-a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11-",
            " a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0-eebc999c0b4ef8bb6d6bb9bd380a11",
        ]),
        "bytea" => all(&[
            "\\x",
            "\\x00ff",
            "\\xDEADbeef",
            "\\x 00 ff ",
            "\\x0",
            "\\x0g",
            "\\x0 0",
            "abc",
            "a\\\\b",
            "\\001\\377",
            "\\400",
            "\\18",
            "\\",
            "é",
            "",
            "\\x\n00\t11",
            "a\\",
            "\\134",
            "\u{7f}~ ",
        ]),
        "date" | "timestamptz" | "timestamp" => dates(),
        "jsonb" | "json" => jsons(),
        _ => all(&[
            "",
            " ",
            "a",
            "hello",
            "hello     ",
            "hello    x",
            "été",
            "étés",
            "étéétéé",
            "ééééé",
            "😀😀😀😀😀",
            "😀😀😀😀😀 ",
            "  a  ",
            "tab\tnew\nline",
            "'quoted'",
            "NULL",
            "\\x41",
            "a very long text that no short column holds, at all, ever, really",
            "éééééééééééééééééééééééééééééééééééééééé",
        ]),
    }
}

/// Values that Postgres may take and that are refused here, for a column of that type.
pub fn odd(sql_type: &str) -> Vec<Vec<u8>> {
    match base(sql_type) {
        "date" | "timestamptz" | "timestamp" => all(&[
            "infinity 2024",
            "12:04 2024-01-01",
            "Mon 2024-01-01",
            "bc 2024-01-01",
            "12:04 J2451187",
            "J2451187.5",
            "now",
            "today",
            "yesterday",
            "tomorrow 12:00",
            "2024-01-01 allballs",
            "20240101-0800",
            "y2024m01d01",
            "2024-01-01 12:34 MSK",
            "2024-01-01 12.34.56",
            "inf",
        ]),
        _ => Vec::new(),
    }
}

fn base(sql_type: &str) -> &str {
    sql_type.split('(').next().unwrap_or(sql_type)
}

fn dates() -> Vec<Vec<u8>> {
    all(&[
        "2024-02-29",
        "2023-02-29",
        "2024-2-9",
        "1999-01-08",
        "19990108",
        "990108",
        "1/8/1999",
        "1/18/1999",
        "18/1/1999",
        "01/02/03",
        "1-2-3",
        "08-Jan-1999",
        "Jan-08-1999",
        "1999-Jan-08",
        "January 8, 1999",
        "8 January 1999",
        "08-Jan-99",
        "99-Jan-08",
        "Jan 8 99",
        "8.1.1999",
        "18.1.1999",
        "1999.1.8",
        "infinity",
        "-infinity",
        "Infinity",
        "+infinity",
        "epoch",
        "J2451187",
        "J 2451187 04:05:06.5",
        "julian 0",
        "jd2451545",
        "j",
        "J2451187 BC",
        "J99999999",
        "2024.032",
        "2024-032",
        "1999.008 12:34",
        "2023-366",
        "2024-367",
        "2024-000",
        "032.2024",
        "0001-01-01",
        "0001-01-01 BC",
        "0044-03-15 BC",
        "4714-11-24 BC",
        "4714-11-23 BC",
        "4713-01-01 BC",
        "0000-01-01",
        "5874897-12-31",
        "5874898-01-01",
        "294276-12-31",
        "294277-01-01",
        "294276-12-31 23:59:59.999999",
        "99999-12-31",
        "2024-03-31 02:30:00",
        "2024-10-27 02:30:00",
        "2024-03-10 02:30",
        "2024-11-03 01:30",
        "2024-01-01 00:00:00Z",
        "2024-01-01T12:34:56Z",
        "2024-01-01T12:34:56.789+02:00",
        "2024-01-01t12:34:56.123456789-0530",
        "2024-01-01 12:34:56+2",
        "2024-01-01 12:34:56+05:30:15",
        "2024-01-01 12:34 Europe/Paris",
        "2024-07-01 12:34 europe/paris",
        "2024-07-01 12:34 CEST",
        "2024-07-01 12:34:00 PST",
        "2024-07-01 12:34 EDT",
        "2024-01-01 12:34 UTC",
        "2024-01-01 12:34 GMT",
        "2024-01-01 12:34 zulu",
        "2024-01-01 24:00:00",
        "2024-01-01 24:00:01",
        "2024-01-01 23:59:60",
        "2024-01-01 23:59:61",
        "2024-01-01 25:00",
        "2024-01-01 12:60",
        "2024-01-01 12:34 PM",
        "2024-01-01 12:34 AM",
        "2024-01-01 13:34 PM",
        "2024-01-01 1:02:03 pm",
        "2024-01-01 12:34:56+16",
        "2024-01-01 12:34:56+15:59",
        "2024-01-01 12:34:56+15:60",
        "20240101T123456",
        "20240101T1234",
        "20240101 123456",
        "2024-01-01 123456",
        "Mon Jan 01 12:34:56 2024",
        "Mon Jan 01 12:34:56 2024 CET",
        "Mon 01 Jan 12:34:56 2024",
        "2024-01-01 12:34:56.9999999",
        "2024-01-01 12:34:56.0000005",
        "2024-01-01 12:34:56.",
        "2024-01-01 12:34:56.5",
        "1999-12-31 23:59:59.9995",
        "1999-12-31 23:59:59.5",
        "2000-01-01 00:00:00.5",
        "2000-01-01 00:00:00.0005+00",
        "1900-01-01",
        "1910-06-01 12:00",
        "1850-01-01 12:00",
        "1945-08-14 12:00",
        "0001-12-31 23:59:59 BC",
        "2038-01-19 03:14:08",
        "3000-07-01 12:00",
        "9999-12-31 23:59:59",
        "10000-07-01 12:00",
        "200000-07-01 12:00",
        "",
        " ",
        "abc",
        "2024",
        "2024-01",
        "2024-13-01",
        "2024-00-01",
        "2024-01-00",
        "2024-01-32",
        "2024-04-31",
        "2024-01-01 2024-01-01",
        "12:34",
        "2024-01-01 12:34 12:34",
        "2024-01-01 Atlantis/Poseidonis",
        "2024-01-01 12:34 xyz",
        "2024-01-01 +02 +02",
        "2024-01-01 BC BC",
        "1/1/1 BC",
        "2024-01-01 12:34:56 -08:00",
        "  2024-01-01  ",
        "2024-01-01 00:00:00.000001",
        "99999999999-01-01",
        "2024-01-01,12:34",
        "24-01-01",
        "69-01-01",
        "70-01-01",
        "2024-01-01é",
        "2024-01-01 12:34:56 BC",
        "2024-01-01 12:34+02 BC",
        "Sat Jan 01 2000",
        "2024-01-01 T12:34",
        "2024-01-01T",
        "T12:34 2024-01-01",
        "2024/02/03",
        "2024.02.03",
        "2/3",
        "20240231",
        "10-11-12",
        "31-12-1999",
        "12-31-1999",
        "1999-12-31T23:59:59.999999Z",
    ])
}

fn jsons() -> Vec<Vec<u8>> {
    all(&[
        "null",
        "true",
        " false ",
        "0",
        "-0",
        "-0.0",
        "1.0",
        "1e2",
        "1E-2",
        "12.50e1",
        "1e400",
        "\"\"",
        "\"a\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[1,2 , 3]",
        r#"{"b":1,"a":[1,2],"aa":null,"b":2}"#,
        r#"{"bb":1,"a":2,"":3,"é":4,"Z":5}"#,
        r#""\u00e9\n\t\r\b\f\"\\\/""#,
        r#""\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""\ude00""#,
        r#""\u0000""#,
        r#""\u001f\u007f""#,
        "\"\u{1}\"",
        "\"tab\there\"",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "nul",
        "truex",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "[1 2]",
        "'a'",
        "\"",
        "{",
        "[",
        "",
        " ",
        "1 2",
        "[[[[[[1]]]]]]",
        "\"😀\"",
        r#"{"a":{"a":{"a":[{"a":1}]}}}"#,
        "1e131072",
        "123456789012345678901234567890.123456789",
        "NaN",
        "Infinity",
        "-",
        "\"\\x\"",
        "\"\\u12\"",
        r#"{"a":1}{"b":2}"#,
        "[1,[2,[3,{\"x\":[]}]]]",
        "\u{a0}1",
        r#"["\u0041\u00DF\u6771"]"#,
        "{\"a\" : \"b\" , \"c\":\"d\"}",
        "{\"1\":1,\"01\":2,\"1\":3}",
    ])
}

impl Source {
    pub fn new(sql_type: &str, round: u64) -> Self {
        Self { kind: base(sql_type).to_owned(), random: StdRng::seed_from_u64(0x5eed + round) }
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.random.random_range(0..from.len())]
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    /// A random value of the type.
    pub fn value(&mut self) -> Vec<u8> {
        match self.kind.as_str() {
            "integer" | "bigint" | "int2" | "int4" | "int8" => self.integer(),
            "numeric" => self.numeric(),
            "float4" | "float8" => self.float(),
            "boolean" | "bool" => self.pick(&["t", "false", "Yes", "oN", "0", "1", "fALS"]).into(),
            "uuid" => self.uuid(),
            "bytea" => self.bytea(),
            "date" => self.date().into_bytes(),
            "timestamptz" | "timestamp" => self.timestamp().into_bytes(),
            "jsonb" | "json" => self.json(0).into_bytes(),
            _ => self.text(70).into_bytes(),
        }
    }

    fn integer(&mut self) -> Vec<u8> {
        let value: i64 = self.random.random();
        (value >> self.random.random_range(0..63)).to_string().into_bytes()
    }

    fn digits(&mut self, most: usize) -> String {
        let n = self.random.random_range(0..=most);
        (0..n)
            .map(|_| if self.chance(30) { '0' } else { char::from(self.random.random_range(b'0'..=b'9')) })
            .collect()
    }

    fn numeric(&mut self) -> Vec<u8> {
        let mut text = self.pick(&["", "-", "+", " "]).to_owned();
        text += &self.digits(12);
        if self.chance(70) {
            text += ".";
            text += &self.digits(10);
        }
        if self.chance(30) {
            text += &format!("e{}", self.random.random_range(-30..30));
        }
        text.into_bytes()
    }

    fn float(&mut self) -> Vec<u8> {
        let exponent = self.random.random_range(-12..12);
        format!("{}e{exponent}", self.random.random_range(-10.0..10.0_f64)).into_bytes()
    }

    fn uuid(&mut self) -> Vec<u8> {
        let value = uuid::Uuid::from_u128(self.random.random());
        match self.random.random_range(0..3) {
            0 => value.simple().to_string(),
            1 => value.braced().to_string().to_uppercase(),
            _ => value.to_string(),
        }
        .into_bytes()
    }

    fn bytea(&mut self) -> Vec<u8> {
        let n = self.random.random_range(0..60);
        let bytes: Vec<u8> = (0..n).map(|_| self.random.random()).collect();
        format!("\\x{}", hex::encode(bytes)).into_bytes()
    }

    fn text(&mut self, most: usize) -> String {
        let n = self.random.random_range(0..most);
        (0..n)
            .map(|_| match self.random.random_range(0..10) {
                0 => ' ',
                1 => self.pick(&["é", "ß", "東", "😀", "\u{301}"]).chars().next().unwrap(),
                2 => self.pick(&["\"", "\\", "'", ",", "{", "\n", "\t", "%"]).chars().next().unwrap(),
                _ => char::from(self.random.random_range(b'a'..=b'z')),
            })
            .collect()
    }

    fn year(&mut self) -> i32 {
        match self.random.random_range(0..10) {
            0 => self.random.random_range(1..4_713),
            1 => self.random.random_range(10_000..290_000),
            2 => self.random.random_range(1_800..1_970),
            _ => self.random.random_range(1_970..2_100),
        }
    }

    fn date(&mut self) -> String {
        let (y, m, d) = (self.year(), self.random.random_range(1..=12), self.random.random_range(1..=29));
        let month =
            ["jan", "Feb", "mar", "Apr", "may", "Jun", "jul", "Aug", "sept", "Oct", "nov", "December"][m - 1];
        let era = if y < 4_713 && self.chance(20) { " BC" } else { "" };
        let date = match self.random.random_range(0..12) {
            0 => format!("{m}/{d}/{y:04}"),
            1 => format!("{d}.{m}.{y:04}"),
            2 if y < 10_000 => format!("{y:04}{m:02}{d:02}"),
            3 => format!("{d} {month} {y:04}"),
            4 => format!("{month} {d}, {y:04}"),
            5 => format!("{d:02}-{month}-{y:04}"),
            6 => format!("{m:02}-{d:02}-{:02}", y % 100),
            _ => format!("{y:04}-{m:02}-{d:02}"),
        };
        date + era
    }

    fn timestamp(&mut self) -> String {
        let era_or_date = self.date();
        let (date, era) = match era_or_date.strip_suffix(" BC") {
            Some(date) => (date.to_owned(), " BC"),
            None => (era_or_date, ""),
        };
        let (h, m, s) = (
            self.random.random_range(0..24),
            self.random.random_range(0..60),
            self.random.random_range(0..60),
        );
        let glue = if date.contains(' ') { " " } else { self.pick(&[" ", " ", "T"]) };
        let mut text = format!("{date}{glue}{h:02}:{m:02}");
        if self.chance(85) {
            text += &format!(":{s:02}");
            if self.chance(60) {
                text += &format!(".{}", self.digits(9));
            }
        }
        text += match self.random.random_range(0..3) {
            0 => "",
            _ => self.pick(&[
                "Z",
                "+00",
                "+02",
                "-08:00",
                "+05:30",
                " Europe/Paris",
                " America/New_York",
                " CET",
                " UTC",
                "-0330",
            ]),
        };
        text + era
    }

    fn json(&mut self, depth: usize) -> String {
        match self.random.random_range(0..if depth > 3 { 5 } else { 8 }) {
            0 => self.pick(&["null", "true", "false"]).to_owned(),
            1 => format!("{}", self.random.random_range(-1000..1000)),
            2 => format!(
                "{}.{}e{}",
                self.random.random_range(0..50),
                self.random.random_range(0..5000),
                self.random.random_range(-9..9)
            ),
            3 | 4 => serde_json::to_string(&self.text(12)).unwrap(),
            5 => {
                let n = self.random.random_range(0..4);
                let items: Vec<_> = (0..n).map(|_| self.json(depth + 1)).collect();
                format!("[{}]", items.join(self.clone_pick(&[",", " , ", ",\n"])))
            }
            _ => {
                let n = self.random.random_range(0..5);
                let members: Vec<_> = (0..n)
                    .map(|_| {
                        let key = if self.chance(40) {
                            self.pick(&["a", "b", "aa", "ab", ""]).to_owned()
                        } else {
                            self.text(6)
                        };
                        format!("{}: {}", serde_json::to_string(&key).unwrap(), self.json(depth + 1))
                    })
                    .collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }

    fn clone_pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.random.random_range(0..from.len())]
    }

    /// The value with a few characters changed, left out, doubled or put in.
    pub fn mutated(&mut self, value: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(value) else { return value.to_vec() };
        let mut chars: Vec<char> = text.chars().collect();
        chars.truncate(300);
        for _ in 0..self.random.random_range(1..3) {
            let at = self.random.random_range(0..=chars.len());
            let new = self.pick(&[
                "0", "1", "9", "-", "+", ":", ".", " ", "/", "e", "T", "z", "x", "\\", "\"", ",", "{", "}",
                "a", "_", "é",
            ]);
            let new = new.chars().next().unwrap();
            match self.random.random_range(0..4) {
                0 if at < chars.len() => {
                    chars.remove(at);
                }
                1 if at < chars.len() => chars[at] = new,
                2 if at < chars.len() => chars.insert(at, chars[at]),
                _ => chars.insert(at, new),
            }
        }
        chars.into_iter().collect::<String>().into_bytes()
    }

    /// A binary value with a byte changed, left out or added.
    pub fn damaged(&mut self, value: &[u8]) -> Vec<u8> {
        let mut bytes = value.to_vec();
        let at = self.random.random_range(0..=bytes.len());
        match self.random.random_range(0..4) {
            0 => bytes.insert(at, self.random.random()),
            1 if at < bytes.len() => {
                bytes.remove(at);
            }
            _ if at < bytes.len() => bytes[at] ^= 1 << self.random.random_range(0..8),
            _ => bytes.push(0),
        }
        bytes
    }
}
