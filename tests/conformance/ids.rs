//! The cases' ids, on a host whose ids must be of a kind of their own.

use serde_json::Value;

/// What each run of a case is called in a host's store; nothing where it has the case's own id.
#[derive(Debug, Clone, Default)]
pub struct Ids(Vec<(String, String)>);

impl Ids {
    pub fn add(&mut self, case: &str, host: &str) {
        self.0.push((case.to_owned(), host.to_owned()));
    }

    /// A request, with the host's ids.
    pub fn to_host(&self, request: &str) -> String {
        let quoted = |id: &str| Value::from(id).to_string();
        self.0.iter().fold(request.to_owned(), |request, (case, host)| request.replace(&quoted(case), &quoted(host)))
    }

    /// An answer, with the case's ids.
    pub fn to_case(&self, answer: &Value) -> Value {
        let text = |id: &str| Value::from(id).to_string().trim_matches('"').to_owned();
        let answer = self.0.iter().fold(answer.to_string(), |answer, (case, host)| answer.replace(host, &text(case)));
        serde_json::from_str(&answer).expect("another id makes no other JSON of it")
    }
}
