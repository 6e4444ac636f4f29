//! The expectations of a cell.

use super::resolve::{Resolver, WHERE};
use crate::document::{Diagnostic, Entry, KeyPath, Node, Reader};
use crate::expectation::{self, CellContext, Check, Expectation, IMPLIED};
use crate::text::listed;

impl Resolver<'_> {
    pub(super) fn expectations(&mut self, context: &CellContext<'_>) -> Vec<Expectation> {
        let path = KeyPath::of("expect");
        let Some(forms) = &self.form.expect else {
            if !self.damaged.has_key("expect") {
                let error = self.missing("the cell expects nothing, so it could never fail");
                self.reader.report(error.allowed(format!("`expect`, {WHERE}")));
            }
            return Vec::new();
        };
        self.overrides();
        let mut expectations = Vec::new();
        let mut all_resolved = true;
        for (name, form) in forms {
            if IMPLIED.contains(&name.as_str()) {
                let message = format!("`{name}` is the name of a built-in expectation");
                let error = self.reader.at_key(&path.then(name), message);
                self.reader
                    .report(error.hint("every trial has it already: choose another name"));
            }
            let reader = Reader::new(self.reader.node);
            let (resolved, diagnostics) = expectation::resolve(reader, &path.then(name), name, form, context);
            all_resolved &= diagnostics.is_empty();
            expectations.extend(resolved);
            self.reader.diagnostics.extend(diagnostics);
        }
        if !self.damaged.has_key("expect") && !self.damaged.has_key("not_on") && all_resolved {
            self.every_tier_is_judged(&expectations, context);
            self.direct_is_judged(&expectations);
        }
        expectations
    }

    /// Reports an expectation of a file that is named almost like one of a file from which it inherits: it overrides nothing.
    fn overrides(&mut self) {
        let files: Vec<&Node> = self.own.into_iter().chain(self.shared.iter().copied()).collect();
        for (index, file) in files.iter().enumerate() {
            self.overrides_of(file, &files[index + 1..]);
        }
    }

    fn overrides_of(&mut self, own: &Node, inherited: &[&Node]) {
        let Some(own) = expected(Some(own)) else {
            return;
        };
        let shared = inherited.iter().filter_map(|file| expected(Some(file)));
        let shared: Vec<&Entry> = shared.flatten().collect();
        let digits = |name: &str| -> String {
            name.trim_end_matches(|last: char| last.is_ascii_digit())
                .to_owned()
        };
        for entry in own {
            let is_near = |other: &&&Entry| {
                // In a short name, two letters are half of it.
                let most = if entry.key.len() > 4 { 2 } else { 1 };
                strsim::damerau_levenshtein(&entry.key, &other.key) <= most
                    && digits(&entry.key) != digits(&other.key)
            };
            let is_there = |name: &str| shared.iter().any(|other| other.key == name);
            let is_own = |name: &str| own.iter().any(|other| other.key == name);
            let mut near = shared.iter().filter(is_near);
            let Some(near) =
                near.find(|near| entry.key.len() > 3 && !is_there(&entry.key) && !is_own(&near.key))
            else {
                continue;
            };
            let file = near.key_span.place().file;
            let message = format!(
                "`{}` overrides nothing, and is named almost like `{}` of `{}`",
                entry.key,
                near.key,
                file.display()
            );
            let error = Diagnostic::at(&entry.key_span, message).path(format!("expect.{}", entry.key));
            let error = error.related(near.key_span.place(), "the shared expectation");
            self.reader
                .report(error.hint(format!("write `{}`, or choose a less similar name", near.key)));
        }
    }

    fn every_tier_is_judged(&mut self, expectations: &[Expectation], context: &CellContext<'_>) {
        let mut unexpected = Vec::new();
        let mut unjudged = Vec::new();
        for (tier, _) in context.tiers {
            let mut here = expectations.iter().filter(|one| one.applies_to(tier)).peekable();
            if here.peek().is_none() {
                unexpected.push(tier.as_str());
            } else if here.all(|one| one.check.is_provider_side()) {
                unjudged.push(tier.as_str());
            }
        }
        if !unexpected.is_empty() {
            let tiers = tiers_in_words(&unexpected);
            let message = format!("nothing is expected on the {tiers}, so it could never fail");
            self.reader.report(self.of_expect(&message));
        }
        let files = || self.own.into_iter().chain(self.feature);
        if !unjudged.is_empty() && !files().any(|file| file.get("expect").is_some()) {
            let error =
                self.missing("the cell has no `expect` of its own, so a live run could judge nothing");
            let error = error.allowed(format!("`expect`, {WHERE}")).path("expect");
            self.reader
                .report(error.hint("add an expectation about the output of Claude Code, such as `text`"));
        } else if !unjudged.is_empty() {
            let tiers = tiers_in_words(&unjudged);
            let message = format!("nothing could be judged in a live run of the {tiers}");
            let error = self.of_expect(&message);
            let error = error.found("only expectations about the requests at the provider");
            self.reader
                .report(error.hint("add one about the output of Claude Code, such as `text`"));
        }
    }

    /// A diagnostic about `expect` as a whole.
    fn of_expect(&self, message: &str) -> Diagnostic {
        match self.feature_lacks("expect") {
            true => self.missing(message).path("expect"),
            // Without the feature's shared file, what is left of a cell may expect too little.
            false if self.form.prompt.is_none() && self.form.prompts.is_none() => {
                self.without_shared_file(self.reader.at(&KeyPath::of("expect"), message))
            }
            false => self.reader.at(&KeyPath::of("expect"), message),
        }
    }

    fn direct_is_judged(&mut self, expectations: &[Expectation]) {
        let is_judged = |is_it: fn(&Check) -> bool| expectations.iter().any(|one| is_it(&one.check));
        let direct = is_judged(|check| matches!(check, Check::DirectReply(_)));
        let counted = is_judged(|check| matches!(check, Check::TokenCount(_)));
        for (key, is_there, judged, kind) in [
            ("direct", self.form.direct.is_some(), direct, "direct_reply"),
            (
                "count_tokens",
                self.form.count_tokens.is_some(),
                counted,
                "token_count",
            ),
        ] {
            if is_there && !judged {
                let message = format!("nothing judges the answer to `{key}`");
                let error = self.reader.at_key(&KeyPath::of(key), message);
                self.reader
                    .report(error.hint(format!("add a `{kind}` expectation")));
            }
        }
    }
}

/// The entries of `expect` in a file.
fn expected(file: Option<&Node>) -> Option<&[Entry]> {
    Some(file?.get("expect")?.value.entries())
}

fn tiers_in_words(tiers: &[&str]) -> String {
    let plural = if tiers.len() == 1 { "" } else { "s" };
    format!("tier{plural} {}", listed(tiers.iter().copied()))
}
