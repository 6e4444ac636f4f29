//! What a cell expects, its known failures and its known changes.

use super::resolve::{Resolver, WHERE};
use crate::document::{Diagnostic, KeyPath, Reader};
use crate::expectation::{self, CellContext, Check, Expectation, IMPLIED, KnownChange, KnownFailure};
use crate::text::listed;
use crate::wire::Direction;

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
        let mut expectations = Vec::new();
        let mut all_resolved = true;
        for (name, form) in forms {
            let reader = Reader::new(self.reader.node);
            let (resolved, diagnostics) = expectation::resolve(reader, &path.then(name), name, form, context);
            all_resolved &= diagnostics.is_empty();
            expectations.extend(resolved);
            self.reader.diagnostics.extend(diagnostics);
        }
        self.known_failures(&mut expectations, context);
        if !self.damaged.has_key("expect") && all_resolved {
            self.every_tier_is_judged(&expectations, context);
            self.direct_is_judged(&expectations);
        }
        expectations
    }

    fn known_failures(&mut self, expectations: &mut [Expectation], context: &CellContext<'_>) {
        let forms = self.form.known_failures.iter().flatten();
        for (name, form) in forms.filter(|(name, _)| !IMPLIED.contains(&name.as_str())) {
            let path = KeyPath::of("known_failures").then(name);
            let Some(expected) = self.form.expect.as_ref().and_then(|expect| expect.get(name)) else {
                self.names_no_expectation(&path, name);
                continue;
            };
            let known = expectation::resolve_known_failure(&mut self.reader, &path, form, context);
            if expected.todo.is_some() {
                let message = format!("`{name}` is a `todo`, which is no failure of the gateway");
                let error = self.reader.at_key(&path, message);
                self.reader
                    .report(error.hint("write the expectation, or remove the known failure"));
            }
            self.is_for_its_tiers(&path, expectations, name, &known);
            for expectation in expectations.iter_mut().filter(|one| one.name == *name) {
                expectation.known_failure = Some(known.clone());
            }
        }
    }

    fn names_no_expectation(&mut self, path: &KeyPath, name: &str) {
        if self.damaged.has_name(name) {
            return;
        }
        let expected = self.form.expect.iter().flat_map(|expect| expect.keys());
        let names: Vec<&str> = expected.map(String::as_str).chain(IMPLIED).collect();
        let message = format!("the known failure `{name}` names no expectation");
        let error = self.reader.at_key(path, message);
        let error = error.allowed(listed(names.iter().copied()));
        self.reader.report(error.did_you_mean(name, names));
    }

    /// Reports a known failure for a tier that its expectation is not for.
    fn is_for_its_tiers(
        &mut self,
        path: &KeyPath,
        expectations: &[Expectation],
        name: &str,
        known: &KnownFailure,
    ) {
        let named = || expectations.iter().filter(|one| one.name == name);
        let Some(first) = named().next() else { return };
        let mut tiers = known.tiers.iter().flatten();
        let stray = tiers.find(|tier| !named().any(|one| one.applies_to(tier)));
        if let Some(stray) = stray {
            let message = format!("the expectation `{name}` is not for `{stray}`");
            let error = self.reader.at_key(&path.then("tiers"), message);
            self.reader
                .report(error.related(first.place.clone(), "the expectation is here"));
        }
    }

    /// Known failures of implied expectations.
    pub(super) fn implied_known_failures(
        &mut self,
        context: &CellContext<'_>,
    ) -> Vec<(String, KnownFailure)> {
        let forms = self.form.known_failures.iter().flatten();
        forms
            .filter(|(name, _)| IMPLIED.contains(&name.as_str()))
            .map(|(name, form)| {
                let path = KeyPath::of("known_failures").then(name);
                (
                    name.clone(),
                    expectation::resolve_known_failure(&mut self.reader, &path, form, context),
                )
            })
            .collect()
    }

    pub(super) fn known_changes(&mut self, context: &CellContext<'_>) -> Vec<KnownChange> {
        let Some(forms) = &self.form.known_changes else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        for (direction, key, forms) in [
            (Direction::Request, "request", &forms.request),
            (Direction::Reply, "reply", &forms.reply),
        ] {
            for (what, form) in forms.iter().flatten() {
                let path = KeyPath::of("known_changes").then(key).then(what);
                changes.push(KnownChange {
                    direction,
                    what: what.clone(),
                    known: expectation::resolve_known_failure(&mut self.reader, &path, form, context),
                });
            }
        }
        changes
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
        if !unjudged.is_empty() {
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

fn tiers_in_words(tiers: &[&str]) -> String {
    let plural = if tiers.len() == 1 { "" } else { "s" };
    format!("tier{plural} {}", listed(tiers.iter().copied()))
}
