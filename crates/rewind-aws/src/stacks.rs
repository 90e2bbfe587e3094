//! Stacks of CloudFormation, by which the command finds the deployment: their names and outputs. It changes nothing.

use crate::classify::{Call, classify, code};
use crate::{Aws, AwsResult};
use std::collections::BTreeMap;

/// A stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// The name.
    pub name: String,
    /// The values of the outputs by their keys.
    pub outputs: BTreeMap<String, String>,
}

/// The client of CloudFormation.
#[derive(Debug, Clone)]
pub struct CloudFormation(aws_sdk_cloudformation::Client);

impl CloudFormation {
    /// The client at the environment's endpoint.
    pub fn new(aws: &Aws) -> Self {
        Self(aws_sdk_cloudformation::Client::new(&aws.config("CLOUDFORMATION")))
    }

    /// Reads the stack of that name, or all stacks; none if there is no stack of that name.
    ///
    /// IAM: `cloudformation:DescribeStacks`.
    ///
    /// # Errors
    ///
    /// The error of AWS.
    pub async fn stacks(&self, name: Option<&str>) -> AwsResult<Vec<Stack>> {
        let mut found = Vec::new();
        let mut page = None;
        loop {
            let call = self.0.describe_stacks().set_stack_name(name.map(ToOwned::to_owned)).set_next_token(page);
            let read = match call.send().await {
                Ok(read) => read,
                // The same code as for a name that no stack can have.
                Err(error) if name.is_some() && code(&error) == Some("ValidationError") => return Ok(found),
                Err(error) => return Err(classify(&error, Call::Read, "cloudformation:DescribeStacks")),
            };
            found.extend(read.stacks.unwrap_or_default().into_iter().map(|stack| {
                Stack {
                    name: stack.stack_name.unwrap_or_default(),
                    outputs: stack
                        .outputs
                        .unwrap_or_default()
                        .into_iter()
                        .filter_map(|output| output.output_key.zip(output.output_value))
                        .collect(),
                }
            }));
            page = read.next_token;
            if page.is_none() {
                return Ok(found);
            }
        }
    }
}
