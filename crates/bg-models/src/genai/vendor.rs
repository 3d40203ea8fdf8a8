//! The vendors, and where they are.

use genai::ModelIden;
use genai::adapter::AdapterKind;

use crate::error::BuildError;

/// Those with a protocol of their own that streams text, and whose adapter asks the endpoint that it
/// is given. The base URLs are `genai`'s own, which it shows to nobody.
const VENDORS: &[(AdapterKind, &str)] = &[
    (AdapterKind::Anthropic, "https://api.anthropic.com/v1/"),
    (AdapterKind::Cohere, "https://api.cohere.com/v1/"),
    (AdapterKind::Gemini, "https://generativelanguage.googleapis.com/v1beta/"),
    (AdapterKind::GeminiIx, "https://generativelanguage.googleapis.com/v1beta/"),
    (AdapterKind::MiniMax, "https://api.minimax.io/anthropic/v1/"),
    (AdapterKind::Ollama, "http://localhost:11434/"),
    (AdapterKind::OllamaCloud, "https://ollama.com/"),
    (AdapterKind::OpenAIResp, "https://api.openai.com/v1/"),
];

/// A vendor's model, and the vendor's base URL.
pub(super) fn find(name: &str) -> Result<(ModelIden, &'static str), BuildError> {
    let (vendor, model) = name.split_once("::").unwrap_or((name, ""));
    let is_meant = |(kind, _): &&(AdapterKind, _)| kind.as_lower_str() == vendor.trim();
    let Some((kind, base)) = VENDORS.iter().find(is_meant) else {
        return Err(BuildError::NoVendor { known: known() });
    };
    if model.trim().is_empty() {
        return Err(BuildError::NoModel);
    }
    Ok((ModelIden::new(*kind, model.trim()), base))
}

fn known() -> String {
    VENDORS.iter().map(|(kind, _)| kind.as_lower_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_a_vendor_and_a_name() {
        let (model, base) = find("anthropic::claude-x").unwrap();
        assert_eq!((model.adapter_kind, &*model.model_name), (AdapterKind::Anthropic, "claude-x"));
        assert_eq!(base, "https://api.anthropic.com/v1/");
        for wrong in ["claude-x", "openai::gpt-x", "bedrock_api::x", "", "::x"] {
            let error = find(wrong).unwrap_err();
            assert!(matches!(error, BuildError::NoVendor { .. }), "{wrong}: {error:?}");
        }
        assert!(matches!(find("gemini:: "), Err(BuildError::NoModel)));
    }

    #[tokio::test]
    async fn the_base_urls_are_those_of_genai() {
        let client = genai::Client::builder().build().unwrap();
        for (kind, base) in VENDORS {
            let target = client.resolve_service_target(ModelIden::new(*kind, "x")).await.unwrap();
            assert_eq!(target.endpoint.base_url(), *base, "{kind}");
        }
    }
}
