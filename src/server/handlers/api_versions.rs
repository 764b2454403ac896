//! ApiVersions (API 18): which APIs and versions are served, and the features of the cluster (KIP-511, KIP-584).

use std::rc::Rc;

use crate::metadata::features;
use crate::protocol::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::protocol::{ApiKey, ErrorCode, frame};
use crate::server::api::{APIS, Context};
use crate::server::connection::Reply;

/// First version that tells the client's software.
const SOFTWARE_FROM: i16 = 3;
/// First version that may name features whose lowest level is 0.
const FEATURES_FROM_ZERO: i16 = 4;

/// Serves an ApiVersions request.
pub async fn handle(context: Rc<Context>, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if context.version() >= SOFTWARE_FROM {
        let (name, version) = (&request.client_software_name, &request.client_software_version);
        if !is_software_word(name) || !is_software_word(version) {
            return ApiVersionsResponse { error_code: ErrorCode::InvalidRequest.code(), ..Default::default() };
        }
        context.client.note_software(name, version);
    }
    let image = context.shard.image();
    let supported =
        features::supported().filter(|(_, levels)| context.version() >= FEATURES_FROM_ZERO || *levels.start() > 0);
    ApiVersionsResponse {
        api_keys: APIS.iter().map(|api| entry(api.key, api.advertised_from, api.last)).collect(),
        supported_features: supported
            .map(|(name, levels)| SupportedFeatureKey {
                name: name.into(),
                min_version: *levels.start(),
                max_version: *levels.end(),
            })
            .collect(),
        finalized_features_epoch: image.offset(),
        finalized_features: image
            .finalized_features()
            .into_iter()
            .map(|(name, level)| FinalizedFeatureKey { name, max_version_level: level, min_version_level: level })
            .collect(),
        ..Default::default()
    }
}

/// The answer to a version that is not served: in version 0, with the entry of this API alone.
pub fn unsupported(correlation_id: i32) -> Reply {
    let entries = APIS.iter().filter(|api| api.key == ApiKey::ApiVersions);
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: entries.map(|api| entry(api.key, api.advertised_from, api.last)).collect(),
        ..Default::default()
    };
    Reply::Frame(frame::response(correlation_id, 0, &response, 0).freeze())
}

fn entry(key: ApiKey, first: i16, last: i16) -> ApiVersion {
    ApiVersion { api_key: key.key(), min_version: first, max_version: last }
}

/// KIP-511: letters, digits, dots and dashes, beginning and ending with a letter or digit.
fn is_software_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() && bytes.iter().all(inner)
}
