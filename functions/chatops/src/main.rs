//! The function `chatops`.

use chatops::{Chat, Real, Secret, Settings};
use lambda_runtime::{LambdaEvent, service_fn};
use rewind_aws::Aws;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    rewind_lambda::init_logging();
    let get = |name: &str| std::env::var(name).ok();
    let aws = Aws::from_env()?;
    let chat = Chat { world: Real::new(&aws, get)?, settings: Settings::read(get)?, secret: Secret::default() };
    let chat = &chat;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let LambdaEvent { payload, context } = event;
        let answer = rewind_lambda::within_deadline(&context, chat.called(payload)).await;
        answer.map_err(|_| lambda_runtime::Error::from("it was stopped, for Lambda gives it no longer"))
    }))
    .await
}
