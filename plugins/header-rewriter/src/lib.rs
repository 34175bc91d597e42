//! Rewrites header fields of requests and responses, and the path, query and host of requests,
//! by rules: conditions, and what to do when all of them hold.
//!
//! `rule` is one rule, `condition` and `action` its parts, `template` the values with
//! `{references}`, `fact` what they refer to, `variable` Azure's server variables, `message`
//! the request or response with the changes made so far.

#![forbid(unsafe_code)]

mod action;
mod certificate;
mod condition;
mod fact;
mod message;
mod name;
mod rule;
mod template;
mod variable;

use serde::Deserialize;
use witgate_sdk::prelude::*;

use message::Message;
use rule::{Rule, RuleConfig};

/// The sidecar's `[config]`.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Rules for requests, in the order in which they apply.
    #[serde(default)]
    request: Vec<RuleConfig>,
    /// Rules for responses, likewise.
    #[serde(default)]
    response: Vec<RuleConfig>,
}

/// The plugin: its rules, in the order they apply.
#[derive(Debug)]
pub struct HeaderRewriter {
    request: Vec<Rule>,
    response: Vec<Rule>,
}

/// What a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

impl Plugin for HeaderRewriter {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self {
            request: rules(config.request, Side::Request)
                .map_err(|error| error.within("request"))?,
            response: rules(config.response, Side::Response)
                .map_err(|error| error.within("response"))?,
        })
    }

    fn unneeded(&self) -> Calls {
        let mut unneeded = Calls::empty();
        unneeded.set(Calls::REWRITE_REQUEST, self.request.is_empty());
        unneeded.set(Calls::REWRITE_RESPONSE, self.response.is_empty());
        unneeded
    }
}

fn rules(configs: Vec<RuleConfig>, side: Side) -> Result<Vec<Rule>, ConfigError> {
    let rules = configs.into_iter().enumerate();
    rules
        .map(|(i, config)| {
            Rule::new(config, side).map_err(|error| error.within(format_args!("[{i}]")))
        })
        .collect()
}

impl Rewriting for HeaderRewriter {
    fn rewrite_request(&self, request: &Request) -> Vec<RequestEdit> {
        let mut message = Message::request(request);
        self.request
            .iter()
            .for_each(|rule| rule.apply(&mut message));
        message.into_request_edits()
    }

    fn rewrite_response(&self, request: &Request, response: &Response) -> Vec<ResponseEdit> {
        let mut message = Message::response(request, response);
        self.response
            .iter()
            .for_each(|rule| rule.apply(&mut message));
        message.into_response_edits()
    }
}

witgate_sdk::export!(HeaderRewriter: Rewriting);

#[cfg(test)]
mod tests;
