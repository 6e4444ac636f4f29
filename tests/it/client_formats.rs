//! `--client-format`: the APIs in which Claude Code calls a gateway. A gateway on loopback passes requests on to the simulator.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, Response};
use compat_matrix::provider::Simulator;
use compat_matrix::{env, http};
use serde_json::Value;

use crate::support::loopback::serve;
use crate::support::small_project::{MANIFEST, Small, simulator};

/// Path and model of each request for a message.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A gateway with a pass-through to Anthropic below `/anthropic`, and the Messages API for aliases.
async fn gateway(simulator: &Simulator) -> (String, Asked) {
    let asked = Asked::default();
    let (log, provider) = (Arc::clone(&asked), simulator.base_url().to_owned());
    let credentials = simulator.credentials();
    let (anthropic, azure) = (
        credentials.anthropic_api_key.clone(),
        credentials.azure_api_key.clone(),
    );
    let pass_on = move |request: Request| {
        let (log, provider) = (Arc::clone(&log), provider.clone());
        let keys = (anthropic.clone(), azure.clone());
        async move {
            let (head, body) = request.into_parts();
            if head.method != Method::POST {
                return Response::default();
            }
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let mut body: Value = serde_json::from_slice(&body).unwrap();
            let model = body["model"].as_str().unwrap().to_owned();
            log.lock()
                .unwrap()
                .push((head.uri.path().to_owned(), model.clone()));
            let (path, key) = match model.strip_suffix("-azure") {
                Some(_) => ("/anthropic/v1/messages", keys.1),
                None => ("/v1/messages", keys.0),
            };
            body["model"] = model.trim_end_matches("-azure").into();
            let mut sent = http::client()
                .post(format!("{provider}{path}"))
                .header("x-api-key", key);
            for name in ["anthropic-version", "x-claude-code-session-id"] {
                if let Some(value) = head.headers.get(name) {
                    sent = sent.header(name, value);
                }
            }
            let reply = sent.json(&body).send().await.unwrap();
            let copy = Response::builder()
                .status(reply.status())
                .header("content-type", reply.headers()["content-type"].clone());
            copy.body(Body::from_stream(reply.bytes_stream())).unwrap()
        }
    };
    (serve(Router::new().fallback(pass_on)).await, asked)
}

/// A project with two columns, behind [`gateway`].
async fn project(simulator: &Simulator) -> (Small, Asked) {
    let mut small = Small::attached(simulator);
    let (address, asked) = gateway(simulator).await;
    small.set(env::LITELLM_PROXY_BASE_URL, &address);
    let config = small.read("proxy_config.yaml");
    let azure = ["haiku-4-5", "opus-4-7"].map(|model| {
        format!("  - {{ model_name: claude-{model}-azure, litellm_params: {{ model: azure_ai/claude-{model} }} }}\n")
    });
    small.write("proxy_config.yaml", &(config + &azure.concat()));
    let cell = small.read("cells/text/anthropic.yaml");
    small.write("cells/text/azure.yaml", &cell);
    (small, asked)
}

#[tokio::test]
async fn each_client_format_runs_the_columns_that_have_it() {
    let simulator = simulator().await;
    for (format, column, path, suffix) in [
        ("messages", None, "/v1/messages", ""),
        ("passthrough", Some("anthropic"), "/anthropic/v1/messages", ""),
        ("provider", Some("azure"), "/v1/messages", "-azure"),
    ] {
        let (small, asked) = project(&simulator).await;
        let ran = small.run(&["text", "--client-format", format]).await;
        ran.exits(0);
        let columns = column.map_or_else(|| vec!["anthropic", "azure"], |column| vec![column]);
        let expected = columns
            .iter()
            .flat_map(|column| ["haiku", "opus"].map(|tier| format!("text::{column}::{tier}")));
        let mut finished = small.finished();
        finished.sort();
        assert_eq!(finished, expected.collect::<Vec<_>>(), "{format}");
        let run = small.results().run;
        assert_eq!(run.client_format.as_deref(), column.map(|_| format));
        let asked = asked.lock().unwrap().clone();
        for model in ["claude-haiku-4-5", "claude-opus-4-7"] {
            let wanted = (path.to_owned(), format!("{model}{suffix}"));
            assert!(asked.contains(&wanted), "{format}: {wanted:?} in {asked:?}");
        }
        let built = small
            .compat(&[
                "matrix",
                "build",
                "--litellm-version",
                "1.0",
                "--output",
                "matrix.json",
            ])
            .await;
        built.exits(0);
        let shown = small.compat(&["matrix", "show", "matrix.json"]).await.out;
        let listed = small.compat(&["results", "list"]).await.out;
        small
            .compat(&["report", "--output", "report.html"])
            .await
            .exits(0);
        for text in [shown, listed, small.read("report.html")] {
            let words = format!("(client format {format})");
            assert_eq!(text.contains(&words), column.is_some(), "{format}: {text}");
        }
        if column.is_some() {
            ran.err_has(&format!("with `--client-format {format}`, 2 trials cannot run: "));
        }
    }
}

/// LiteLLM's pass-through to Vertex AI calls Google. A gateway without a name may be LiteLLM.
#[tokio::test]
async fn only_litellm_has_no_simulated_run_in_the_api_of_vertex_ai() {
    let simulator = simulator().await;
    let mut small = Small::attached(&simulator);
    let manifest = MANIFEST.replace("azure", "vertex_ai");
    small.write("manifest.yaml", &manifest);
    let vertex_ai = "text::vertex_ai::haiku";
    let list = ["--list", "--client-format", "provider"];
    for (name, is_live, has_vertex_ai) in [
        (None, false, false),
        (Some("litellm"), false, false),
        (Some("other"), false, true),
        (Some("litellm"), true, true),
    ] {
        let provider = if is_live { "" } else { simulator.base_url() };
        small.set(env::COMPAT_PROVIDER_URL, provider);
        let named = name.iter().flat_map(|name| ["--gateway-name", name]);
        let line: Vec<&str> = list.into_iter().chain(named).collect();
        let ran = small.run(&line).await;
        assert_eq!(
            ran.listed().contains(vertex_ai),
            has_vertex_ai,
            "{name:?} {is_live}"
        );
    }
}
