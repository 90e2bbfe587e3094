//! The master password: given by the caller, or managed in Secrets Manager, and the changes between the two.

use crate::rds::control_plane::ControlPlane;
use crate::rds::engine::check_password;
use crate::rds::error::ApiError;
use crate::rds::model::{DbCluster, MasterSecret};
use crate::rds::query::Params;
use crate::rds::resource_names::cluster_arn;
use crate::rds::secrets;
use crate::servers::Error;

/// Creates the managed secret of a cluster.
pub async fn create(
    control_plane: &ControlPlane,
    params: &Params,
    id: &str,
    user: &str,
    password: &str,
) -> Result<MasterSecret, ApiError> {
    // The status is `creating` until the database has the password, though the secret can be read before.
    let arn = control_plane.secrets.create(&cluster_arn(id), user, password).await?;
    let kms_key = params.text("MasterUserSecretKmsKeyId").unwrap_or_else(|| control_plane.kms_key.clone());
    Ok(MasterSecret { arn, status: "creating", kms_key })
}

/// The change that a modification makes to the master password.
#[derive(Debug)]
pub enum Change {
    /// Nothing.
    None,
    /// Another password, given by the caller.
    Given(String),
    /// Managed from now on.
    Managed { secret: MasterSecret, password: String },
    /// Managed before and after, with a new password.
    Rotated { secret: String, password: String },
    /// Not managed any more.
    Unmanaged { secret: String, password: String },
}

/// Reads the change from a request. A new secret is created at once: its ARN is part of the response.
pub async fn read_change(
    control_plane: &ControlPlane,
    params: &Params,
    cluster: &DbCluster,
) -> Result<Change, ApiError> {
    let given = params.text("MasterUserPassword");
    if let Some(password) = &given {
        check_password(password)?;
    }
    let rotate = params.boolean("RotateMasterUserPassword")?.unwrap_or(false);
    let managed = cluster.secret.as_ref().map(|secret| secret.arn.clone());
    if rotate {
        let Some(secret) = managed else {
            return Err(ApiError::combination(
                "You can't rotate the master user password of a cluster that RDS doesn't manage it for.",
            ));
        };
        // AWS demands it: a rotation can't wait for a maintenance window.
        if params.boolean("ApplyImmediately")? != Some(true) {
            return Err(ApiError::combination("You must apply immediately when you rotate the master user password."));
        }
        return Ok(Change::Rotated { secret, password: secrets::password()? });
    }
    match (params.boolean("ManageMasterUserPassword")?, managed, given) {
        (Some(true), _, Some(_)) => {
            Err(ApiError::combination("You can't specify MasterUserPassword when ManageMasterUserPassword is true."))
        }
        (Some(true), None, None) => {
            let password = secrets::password()?;
            let secret = create(control_plane, params, &cluster.id, &cluster.master_user, &password).await?;
            Ok(Change::Managed { secret, password })
        }
        (Some(false), Some(secret), Some(password)) => Ok(Change::Unmanaged { secret, password }),
        (Some(false), Some(_), None) => Err(ApiError::combination(
            "You must specify MasterUserPassword when you turn off ManageMasterUserPassword.",
        )),
        (None, Some(_), Some(_)) => Err(ApiError::combination(
            "You can't specify MasterUserPassword for a cluster whose master user password RDS manages.",
        )),
        (_, None, Some(password)) => Ok(Change::Given(password)),
        (_, _, None) => Ok(Change::None),
    }
}

impl Change {
    /// True when the password stays.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Shows the change in the cluster before it is made.
    pub fn announce(&self, cluster: &mut DbCluster) {
        match self {
            Self::None | Self::Given(_) => {}
            Self::Managed { secret, .. } => cluster.secret = Some(secret.clone()),
            Self::Rotated { .. } => {
                if let Some(secret) = &mut cluster.secret {
                    secret.status = "rotating";
                }
            }
            Self::Unmanaged { .. } => cluster.secret = None,
        }
    }

    /// Deletes a secret that was created for a modification that does not happen.
    pub async fn abandon(&self, control_plane: &ControlPlane) {
        if let Self::Managed { secret, .. } = self
            && let Err(error) = control_plane.secrets.delete(&secret.arn).await
        {
            tracing::warn!(secret = secret.arn, error = error.message, "a secret without a cluster was left behind");
        }
    }

    /// Sets the password in the database, then in the secret.
    pub async fn apply(&self, control_plane: &ControlPlane, cluster: &DbCluster) -> Result<(), Error> {
        let (password, kept) = match self {
            Self::None => return Ok(()),
            Self::Given(password) | Self::Managed { password, .. } => (password, None),
            Self::Rotated { secret, password } => {
                (password, Some(control_plane.secrets.rotate(secret, &cluster.master_user, password)))
            }
            Self::Unmanaged { password, .. } => (password, None),
        };
        // In this order a reader of the secret may have to try again, but every password that it will read has worked.
        cluster.database.set_password(&cluster.master_user, password).await?;
        if let Some(kept) = kept
            && let Err(error) = kept.await
        {
            // The database has it already: rolling back could fail as well, and a second rotation mends it.
            tracing::error!(error = error.message, "the secret does not hold the new password");
        }
        if let Self::Unmanaged { secret, .. } = self
            && let Err(error) = control_plane.secrets.delete(secret).await
        {
            tracing::warn!(secret, error = error.message, "a secret without a cluster was left behind");
        }
        if let Ok(cluster) = control_plane.store().cluster_mut(&cluster.id)
            && let Some(secret) = &mut cluster.secret
        {
            secret.status = "active";
        }
        Ok(())
    }
}
