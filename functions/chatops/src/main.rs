//! The function `chatops`.

use chatops::{AppSecret, AwsPorts, ChatApp, Settings};
use lambda_runtime::{LambdaEvent, service_fn};
use rewind_aws::Aws;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    rewind_lambda::init_logging();
    let get = |name: &str| std::env::var(name).ok();
    let aws = Aws::from_env()?;
    let app =
        ChatApp { ports: AwsPorts::new(&aws, get)?, settings: Settings::read(get)?, secret: AppSecret::default() };
    let app = &app;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let LambdaEvent { payload, context } = event;
        let response = rewind_lambda::within_deadline(&context, app.handle(payload)).await;
        response.map_err(|_| lambda_runtime::Error::from("it was stopped, for Lambda gives it no longer"))
    }))
    .await
}
