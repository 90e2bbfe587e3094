//! Tags of any resource, by ARN.

use super::{Answer, result};
use crate::rds::error::ApiError;
use crate::rds::model;
use crate::rds::plane::Plane;
use crate::rds::query::Params;
use crate::rds::shapes;

/// `AddTagsToResource`.
pub fn add(plane: &Plane, params: &Params) -> Answer {
    let arn = params.required("ResourceName")?;
    let given = model::tags(params)?.ok_or_else(|| ApiError::missing("Tags"))?;
    let mut store = plane.store();
    let tags = store.tags_mut(arn)?;
    let mut merged = tags.clone();
    merged.extend(given);
    model::check_tags(&merged)?;
    *tags = merged;
    Ok(result())
}

/// `RemoveTagsFromResource`.
pub fn remove(plane: &Plane, params: &Params) -> Answer {
    let arn = params.required("ResourceName")?;
    let keys = params.texts("TagKeys", "member").ok_or_else(|| ApiError::missing("TagKeys"))?;
    plane.store().tags_mut(arn)?.retain(|key, _| !keys.contains(key));
    Ok(result())
}

/// `ListTagsForResource`.
pub fn list(plane: &Plane, params: &Params) -> Answer {
    let arn = params.required("ResourceName")?;
    Ok(shapes::tags(result(), "TagList", plane.store().tags_mut(arn)?))
}
