//! DescribeTransactions (API 65), ListTransactions (66): KIP-664, KIP-994 (duration), KIP-1152 (pattern).

use std::rc::Rc;

use regex::Regex;

use crate::coordinator::txn::{ListFilter, TxnRequest, TxnResponse, TxnState};
use crate::protocol::ErrorCode;
use crate::protocol::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TransactionState,
};
use crate::protocol::list_transactions::{ListTransactionsRequest, ListTransactionsResponse};
use crate::server::api::Context;
use crate::server::errors;
use crate::server::transactions::ask;
use crate::wire::KafkaString;

/// Serves a DescribeTransactions request.
pub async fn describe(context: Rc<Context>, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let mut response = DescribeTransactionsResponse::default();
    for id in request.transactional_ids {
        let described = describe_one(&context, &id).await;
        response.transaction_states.push(described.unwrap_or_else(|error| TransactionState {
            error_code: error.code(),
            transactional_id: id,
            ..Default::default()
        }));
    }
    response
}

async fn describe_one(context: &Context, id: &KafkaString) -> Result<TransactionState, ErrorCode> {
    if id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    match ask(context, id, TxnRequest::Describe(id.clone())).await? {
        TxnResponse::Described(state) => Ok(state),
        _ => Err(ErrorCode::UnknownServerError),
    }
}

/// Serves a ListTransactions request: those that this broker coordinates.
pub async fn list(context: Rc<Context>, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let failed = |error: ErrorCode| ListTransactionsResponse { error_code: error.code(), ..Default::default() };
    let pattern = request.transactional_id_pattern.filter(|pattern| !pattern.is_empty());
    // The pattern is for the whole id.
    let pattern = match pattern.map(|pattern| Regex::new(&format!("^(?:{})$", &*pattern))).transpose() {
        Ok(pattern) => pattern,
        Err(_) => return failed(ErrorCode::InvalidRegularExpression),
    };
    let (states, unknown): (Vec<_>, Vec<_>) =
        request.state_filters.into_iter().partition(|name| TxnState::of_name(name).is_some());
    let none_known = states.is_empty() && !unknown.is_empty();
    let filter =
        ListFilter { states, producer_ids: request.producer_id_filters, duration_ms: request.duration_filter, pattern };
    let listed = match none_known {
        true => Ok(Vec::new()),
        false => context.shard.list_transactions(&filter).await,
    };
    match listed {
        Ok(transaction_states) => {
            ListTransactionsResponse { unknown_state_filters: unknown, transaction_states, ..Default::default() }
        }
        Err(error) => failed(errors::coordinator_code(error)),
    }
}
