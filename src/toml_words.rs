//! What is wrong with a TOML file, in one line.

/// The mistake and its place. The line itself is left out: somebody's file may have a secret there.
pub(crate) fn mistake(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim().replace('\n', "; ");
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else { return message };
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {}, column {column}: {message}", before.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_told_in_one_line_with_its_place() {
        for (text, words) in [
            ("a = 1\n  b = é\n", "line 2, column 7: "),
            ("a = 1\nb = \"x", "line 2, column "),
            ("[a\n", "line 1, column 3: "),
            ("a = 1\na = 's3cret'\n", "line 2, column 1: "),
            ("", "missing field `a`"),
        ] {
            #[derive(serde::Deserialize, Debug)]
            #[expect(dead_code, reason = "only read")]
            struct File {
                a: i64,
            }
            let error = toml::from_str::<File>(text).unwrap_err();
            let mistake = mistake(text, &error);
            assert!(mistake.contains(words) && !mistake.contains('\n') && !mistake.contains("s3cret"), "{mistake}");
        }
    }
}
