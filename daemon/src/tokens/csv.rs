//! Tables of tokens, as spreadsheets and other authentication servers write them. The header line says what is in which
//! column: a file without one is refused, for a secret that is taken for a serial number would be shown to everybody.

use std::collections::BTreeMap;

use csv::{ReaderBuilder, StringRecord};
use data_encoding::{BASE32_NOPAD, Encoding, HEXUPPER};
use zeroize::Zeroizing;

use super::{Batch, Fault, File, Kind, Token, algorithm, counter, manufacturer, number, period, serial};
use crate::{factor::totp::Parameters, names::printable, secret::Secret};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Serial,
    Secret,
    SecretHex,
    Type,
    Digits,
    Period,
    Counter,
    Algorithm,
    Manufacturer,
    Upn,
    Model,
    Description,
}

/// Every name of every column; the first is ours, the others are those that Microsoft Entra and the makers use. The last
/// three are known and passed over.
const NAMES: [(Column, &[&str]); 12] = [
    (Column::Serial, &["serial", "serial number"]),
    (Column::Secret, &["secret", "secret key"]),
    (Column::SecretHex, &["secret hex", "seed"]),
    (Column::Type, &["type", "kind"]),
    (Column::Digits, &["digits"]),
    (Column::Period, &["period", "time interval"]),
    (Column::Counter, &["counter"]),
    (Column::Algorithm, &["algorithm"]),
    (Column::Manufacturer, &["manufacturer"]),
    (Column::Upn, &["upn"]),
    (Column::Model, &["model"]),
    (Column::Description, &["description"]),
];

/// In bytes. The reader keeps a number for each field of a line, and a line of commas would be ten times its size.
const LONGEST_LINE: usize = 65_536;

pub(super) fn read(batch: &mut Batch<'_>) -> Result<(), Fault> {
    let file = batch.file;
    let mut at = 0;
    for line in file.text.split(['\r', '\n']) {
        if line.len() > LONGEST_LINE {
            return Err(file.fault(at, "the line is too long for a token"));
        }
        at += line.len() + 1;
    }
    let first = file.text.split(['\r', '\n']).find(|line| !line.trim().is_empty()).unwrap_or_default();
    let delimiter = if first.contains(';') && !first.contains(',') { b';' } else { b',' };
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true) // the fields are counted below, with a better sentence
        .from_reader(file.text.as_bytes());
    let mut record = StringRecord::new();
    let mut header: Option<Header> = None;
    while reader.read_record(&mut record).map_err(|_| Fault::whole("this is no CSV".to_owned()))? {
        if record.iter().all(|cell| cell.trim().is_empty()) && record.len() == 1 {
            continue;
        }
        let at = begin(file, &record);
        let wrong = |sentence: String| file.fault(at, sentence);
        // A quote that nobody closes swallows lines, and the tokens on them would be missing without a word.
        if record.iter().any(|cell| cell.trim().chars().any(char::is_control)) {
            return Err(wrong(
                "a field has a control character or goes over the end of the line: is a quote not closed?"
                    .to_owned(),
            ));
        }
        match &header {
            None => header = Some(Header::parse(&record).map_err(wrong)?),
            Some(header) => {
                let token = header.token(&record, batch).map_err(wrong)?;
                batch.add(at, token)?;
            }
        }
    }
    if header.is_none() {
        return Err(Fault::whole(format!("it is empty; its first line names {}", known())));
    }
    Ok(())
}

/// Where the record begins: the reader's own position is before the empty lines that it skipped, and before the LF of
/// the line above if lines end in CR LF.
fn begin(file: File<'_>, record: &StringRecord) -> usize {
    let position = record.position().and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0);
    let rest = file.text.get(position..).unwrap_or_default();
    position + (rest.len() - rest.trim_start_matches(['\r', '\n']).len())
}

/// Which column is where.
struct Header {
    columns: BTreeMap<Column, usize>,
    fields: usize,
}

impl Header {
    fn parse(record: &StringRecord) -> Result<Self, String> {
        // Of one more than there are, one is unknown or repeated: the rest need not be looked at.
        let found: Vec<Option<Column>> = record.iter().take(NAMES.len() + 1).map(column).collect();
        // If there is no header, these are a serial number and a secret: they are not repeated.
        if found.iter().all(Option::is_none) {
            return Err(format!("this line is no header: it names {}", known()));
        }
        let mut columns = BTreeMap::new();
        for (index, (column, cell)) in found.into_iter().zip(record).enumerate() {
            let cell = printable(cell.trim(), 24);
            let Some(column) = column else {
                return Err(format!("there is no column \"{cell}\"; there are {}", known()));
            };
            if columns.insert(column, index).is_some() {
                return Err(format!("the column \"{cell}\" is there twice; there are {}", known()));
            }
        }
        if !columns.contains_key(&Column::Serial) {
            return Err("there is no column \"serial\"".to_owned());
        }
        match (columns.contains_key(&Column::Secret), columns.contains_key(&Column::SecretHex)) {
            (true, true) => Err("there are both \"secret\" and \"secret hex\": keep one".to_owned()),
            (false, false) => {
                Err("there is no column \"secret\" (in Base32) or \"secret hex\" (hexadecimal)".to_owned())
            }
            _ => Ok(Self { columns, fields: record.len() }),
        }
    }

    fn token(&self, record: &StringRecord, batch: &Batch<'_>) -> Result<Token, String> {
        if record.len() != self.fields {
            return Err(format!("there are {} fields, and {} in the header", record.len(), self.fields));
        }
        let cell =
            |column| self.columns.get(&column).and_then(|index| record.get(*index)).map_or("", str::trim);
        let number = |what, column| match cell(column) {
            "" => Ok(None),
            text => number(what, text).map(Some),
        };
        let kind = kind(cell(Column::Type), cell(Column::Period), cell(Column::Counter))?;
        let digits = batch.rules.digits(kind, number("number of digits", Column::Digits)?)?;
        let algorithm = match cell(Column::Algorithm) {
            "" => algorithm("SHA1")?,
            text => algorithm(text)?,
        };
        // In a table of both kinds the one's period and the other's counter stand in the rows of either.
        let (period, counter) = match kind {
            Kind::Totp => (period(number("period", Column::Period)?)?, 0),
            Kind::Hotp => (period(None)?, counter(number("counter", Column::Counter)?)?),
        };
        let key = if self.columns.contains_key(&Column::Secret) {
            let text = cell(Column::Secret);
            decode(&BASE32_NOPAD, text.trim_end_matches(['=', ' '])).ok_or("the secret is no Base32")?
        } else {
            decode(&HEXUPPER, cell(Column::SecretHex)).ok_or("the secret is not hexadecimal")?
        };
        Ok(Token {
            serial: serial(cell(Column::Serial))?,
            kind,
            parameters: Parameters { algorithm, digits, period },
            counter,
            drift: 0,
            key: batch.rules.key(key)?,
            manufacturer: manufacturer(cell(Column::Manufacturer)),
        })
    }
}

fn column(name: &str) -> Option<Column> {
    let plain = |text: &str| text.to_lowercase().replace([' ', '_', '-'], "");
    let name = plain(name);
    NAMES.iter().find(|(_, names)| names.iter().any(|known| plain(known) == name)).map(|(column, _)| *column)
}

fn known() -> String {
    NAMES.iter().filter_map(|(_, names)| names.first().copied()).collect::<Vec<_>>().join(", ")
}

fn kind(said: &str, period: &str, counter: &str) -> Result<Kind, String> {
    if said.is_empty() {
        return match (period, counter) {
            ("", "") => Err("it does not say totp or hotp: add the column \"type\"".to_owned()),
            ("", _) => Ok(Kind::Hotp),
            _ => Ok(Kind::Totp),
        };
    }
    let is = |kind: &Kind| kind.name().eq_ignore_ascii_case(said);
    Kind::ALL.into_iter().find(is).ok_or_else(|| "the type is neither totp nor hotp".to_owned())
}

/// Spaces between groups, as they are printed on paper, and case say nothing.
fn decode(encoding: &Encoding, text: &str) -> Option<Secret<Vec<u8>>> {
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    plain.extend(text.chars().filter(|c| *c != ' ').map(|c| c.to_ascii_uppercase()));
    encoding.decode(plain.as_bytes()).ok().map(Secret::new)
}

#[cfg(test)]
mod tests {
    use super::super::{
        MAX_TOKENS, Unlock,
        tests::{DEFAULTS, KEY, SECRET, plain, refused},
    };
    use crate::factor::totp::Algorithm;

    use super::*;

    fn one(text: &str) -> Token {
        plain(text).unwrap().pop().unwrap()
    }

    #[test]
    fn a_table_with_every_column_is_read() {
        let text = format!(
            "\u{feff}Serial_Number,SECRET-KEY,Type,digits,Time Interval,counter,algorithm,manufacturer,upn,model,description\r\n\
             A-1,{SECRET},TOTP,8,60,,HMAC-SHA256,\"Acme, Ltd\",al@example.com,c200,\r\n\
             \r\n\
             A-2,gezd gnbv gy3t qojq gezd gnbv gy3t qojq====,hotp,,30,17,,,,,\r\n"
        );
        let tokens = plain(text).unwrap();
        let [first, second] = tokens.as_slice() else { panic!("two") };
        assert_eq!(
            (first.serial.as_str(), first.kind, first.counter, first.drift),
            ("A-1", Kind::Totp, 0, 0)
        );
        let parameters = Parameters { algorithm: Algorithm::Sha256, digits: 8, period: 60 };
        assert_eq!((first.parameters, first.manufacturer.as_str()), (parameters, "Acme, Ltd"));
        assert_eq!((second.serial.as_str(), second.kind, second.counter), ("A-2", Kind::Hotp, 17));
        let parameters = Parameters { algorithm: Algorithm::Sha1, digits: 6, period: 30 };
        assert_eq!((second.parameters, second.manufacturer.as_str()), (parameters, ""));
        assert!(tokens.iter().all(|token| token.key.expose() == KEY));
    }

    #[test]
    fn the_table_of_entra_and_one_with_semicolons_are_read() {
        let entra = one(&format!(
            "upn,serial number,secret key,time interval,manufacturer,model\n\
             al@example.com,1234567,{SECRET},60,Contoso,HardwareKey\n"
        ));
        assert_eq!((entra.kind, entra.parameters.period), (Kind::Totp, 60));
        let hexadecimal = one(
            "serial;seed;manufacturer;counter\r1;31323334353637383930 31323334353637383930;Acme, Ltd;0\r",
        );
        assert_eq!((hexadecimal.kind, hexadecimal.key.expose().as_slice()), (Kind::Hotp, KEY));
    }

    #[test]
    fn a_fault_names_its_line_and_never_a_secret() {
        let header = "serial,secret,type,digits,counter";
        let short = "GEZDGNBVGY3TQOJQ";
        for (rows, expected) in [
            ("1,0,totp,,", "line 2: the secret is no Base32"),
            ("\n\n1,0,totp,,", "line 4: the secret is no Base32"),
            ("1,,totp,,", "line 2: the secret has 0 bits: under 80 none is safe"),
            ("1,%,totp,,\n2,%,totp,x,", "line 3: the number of digits is no whole number"),
            ("1,%,totp,,\r\n2,%,totp,9,", "line 3: the codes have 6 to 8 digits, not as many as this"),
            ("1,%,hotp,,-1", "line 2: the counter is 0 to 9007199254740992, not this"),
            ("1,%,hotp,,9007199254740993", "line 2: the counter is 0 to 9007199254740992, not this"),
            ("1,%,hotp,,99999999999999999999", "line 2: the counter is no whole number"),
            ("1,%,,,", "line 2: it does not say totp or hotp: add the column \"type\""),
            ("1,%,%,,", "line 2: the type is neither totp nor hotp"),
            (",%,totp,,", "line 2: there is no serial number"),
            ("1,%,totp,", "line 2: there are 4 fields, and 5 in the header"),
            ("1,%,totp,,,", "line 2: there are 6 fields, and 5 in the header"),
            ("1,$,totp,,", "line 2: the secret has 80 bits, not 128; --allow-short takes it all the same"),
            ("1,%,totp,,\n2,%,totp,,\n\n1,%,totp,,", "line 5: the serial 1 is also at line 2"),
            (
                "\"1,%,totp,,\n2,%,totp,,",
                "line 2: a field has a control character or goes over the end of the line: is a quote not closed?",
            ),
        ] {
            let rows = rows.replace('%', SECRET).replace('$', short);
            for end in ["\n", "\r\n", "\r"] {
                let text = format!("{header}\n{rows}\n").replace("\r\n", "\n").replace('\n', end);
                let said = refused(text);
                assert_eq!(said, expected);
                assert!(!said.contains(SECRET) && !said.contains(short));
            }
        }
    }

    #[test]
    fn a_header_is_told_what_is_wrong_with_it() {
        for (header, expected) in [
            ("serial,secret,pin", "there is no column \"pin\"; there are serial, secret, secret hex, type,"),
            ("serial,secret,serial_number", "the column \"serial_number\" is there twice"),
            ("serial,secret,kind,type", "the column \"type\" is there twice"),
            ("serial,secret,upn,UPN", "the column \"UPN\" is there twice"),
            ("serial,secret,", "there is no column \"\""),
            ("serial,secret,\u{1b}[2J", "a field has a control character"),
            ("serial,type", "there is no column \"secret\""),
            ("secret,type", "there is no column \"serial\""),
            ("serial,secret,seed", "there are both"),
        ] {
            let said = refused(format!("{header}\n1,2,3,4\n"));
            assert!(said.starts_with(&format!("line 1: {expected}")), "{said}");
        }
        let said = refused(format!("4711,{SECRET}\n"));
        assert!(said.starts_with("line 1: this line is no header") && !said.contains(SECRET), "{said}");
        assert_eq!(refused("serial,secret\n"), "the file: there is no token in it");
        assert!(refused(format!("serial,secret{}\n", ",".repeat(9_000))).contains("there is no column \"\""));
        let wide = refused(format!("serial,secret\n{}\n", ",".repeat(1 << 20)));
        assert_eq!(wide, "line 2: the line is too long for a token");
    }

    #[test]
    fn one_bad_row_refuses_the_file() {
        let good = format!("serial,secret,type\n1,{SECRET},totp\n");
        assert_eq!(plain(&good).unwrap().len(), 1);
        assert!(plain(format!("{good}2,{SECRET},totp,\n")).is_err());
        assert!(plain(format!("{good}2,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,totp\n")).is_err());
        let shorter = super::super::read(
            b"serial,secret,type\n1,GEZDGNBVGY3TQOJQ,hotp",
            None,
            &Unlock::default(),
            DEFAULTS,
            10,
        );
        assert_eq!(shorter.map_err(|fault| fault.to_string()).unwrap().len(), 1);
    }

    #[test]
    fn there_are_as_many_tokens_as_rows_up_to_the_limit() {
        let table = |rows: usize| {
            let mut text = "serial,secret,type\n".to_owned();
            text.extend((0..rows).map(|n| format!("{n},{SECRET},totp\n")));
            text
        };
        assert_eq!(plain(table(10_000)).unwrap().len(), 10_000);
        let said = refused(table(MAX_TOKENS + 1));
        assert_eq!(said, "line 100002: there are more than 100000 tokens: split the file");
    }
}
