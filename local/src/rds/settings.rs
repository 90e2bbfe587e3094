//! Settings of a cluster, read from requests. Two equal values mean that a modification changes nothing.

use super::engine::Engine;
use super::error::ApiError;
use super::monitoring::{Insights, Monitoring, read_insights, read_monitoring};
use super::preferred_windows;
use super::query::Params;
use super::security_groups::DEFAULT_GROUP;

/// The settings of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub parameter_group: String,
    pub security_groups: Vec<String>,
    pub backup_retention: u32,
    pub backup_window: String,
    pub maintenance_window: String,
    pub iam_auth: bool,
    pub deletion_protection: bool,
    pub copy_tags: bool,
    pub http_endpoint: bool,
    pub log_exports: Vec<String>,
    pub serverless: Option<Serverless>,
    pub storage_type: Option<String>,
    pub network_type: String,
    pub minor_upgrade: bool,
    pub monitoring: Monitoring,
    pub insights: Insights,
    pub insights_mode: String,
    /// Enrolment in Extended Support: chosen when the cluster is made.
    pub lifecycle: String,
    /// In seconds; 0 once it was turned off, nothing if it never was on.
    pub backtrack_window: Option<u32>,
}

impl Settings {
    /// The settings of a cluster whose request names none.
    pub fn defaults(engine: Engine, version: &str) -> Self {
        Self {
            parameter_group: default_group(engine, version),
            security_groups: vec![DEFAULT_GROUP.to_owned()],
            // AWS's own defaults, which a restore has as well where nothing is passed: the product has to pass everything on.
            backup_retention: 1,
            backup_window: preferred_windows::DEFAULT_BACKUP.to_owned(),
            maintenance_window: preferred_windows::DEFAULT_MAINTENANCE.to_owned(),
            iam_auth: false,
            deletion_protection: false,
            copy_tags: false,
            http_endpoint: false,
            log_exports: Vec::new(),
            serverless: None,
            storage_type: None,
            network_type: "IPV4".to_owned(),
            minor_upgrade: true,
            monitoring: Monitoring::default(),
            insights: Insights::default(),
            insights_mode: "standard".to_owned(),
            lifecycle: LIFECYCLES[0].to_owned(),
            backtrack_window: None,
        }
    }

    /// Reads the parameters that creating, restoring and modifying have in common.
    pub fn read_common(&mut self, params: &Params) -> Result<(), ApiError> {
        if let Some(group) = params.get("DBClusterParameterGroupName") {
            self.parameter_group = group.to_ascii_lowercase();
        }
        if let Some(groups) =
            params.texts("VpcSecurityGroupIds", "VpcSecurityGroupId").filter(|groups| !groups.is_empty())
        {
            // There is no EC2 to ask whether they exist: the form is all that can be checked.
            if let Some(wrong) = groups.iter().find(|group| !group.starts_with("sg-")) {
                return Err(ApiError::value(format!("Invalid security group , groupId= {wrong}, groupName=.")));
            }
            self.security_groups = groups;
        }
        // Aurora has no retention of 0: backups can't be turned off.
        if let Some(days) = params.number("BackupRetentionPeriod", 1..=35)? {
            self.backup_retention = days;
        }
        if let Some(window) = params.get("PreferredBackupWindow") {
            self.backup_window = preferred_windows::backup(window)?;
        }
        set(&mut self.iam_auth, params.boolean("EnableIAMDatabaseAuthentication")?);
        set(&mut self.deletion_protection, params.boolean("DeletionProtection")?);
        set(&mut self.copy_tags, params.boolean("CopyTagsToSnapshot")?);
        // A structure arrives as several parameters: it is given when any of them is.
        if params.first_given(&["ServerlessV2ScalingConfiguration"]).is_some() {
            self.serverless =
                Some(serverless(&params.structure("ServerlessV2ScalingConfiguration"), self.serverless.as_ref())?);
        }
        if let Some(storage) = params.get("StorageType") {
            self.storage_type = match storage {
                // AWS shows no StorageType for the standard one.
                "aurora" | "" => None,
                "aurora-iopt1" => Some(storage.to_owned()),
                _ => return Err(ApiError::combination(format!("Invalid storage type: {storage}"))),
            };
        }
        if let Some(network) = params.get("NetworkType") {
            if !matches!(network, "IPV4" | "DUAL") {
                return Err(ApiError::value(format!("Invalid network type: {network}")));
            }
            self.network_type = network.to_owned();
        }
        if let Some(lifecycle) = params.get("EngineLifecycleSupport") {
            if !LIFECYCLES.contains(&lifecycle) {
                return Err(ApiError::value(format!("Invalid EngineLifecycleSupport: {lifecycle}")));
            }
            self.lifecycle = lifecycle.to_owned();
        }
        Ok(())
    }

    /// Reads the window of Backtrack. Where it is off it can be turned on only while a cluster is created (`can_begin`): a volume has no
    /// records of the time before.
    pub fn read_backtrack(&mut self, engine: Engine, can_begin: bool, params: &Params) -> Result<(), ApiError> {
        let Some(given) = params.get("BacktrackWindow") else { return Ok(()) };
        if !engine.has_backtrack() {
            // AWS accepts a window of 0 for any engine.
            return match given {
                "0" => Ok(()),
                _ => Err(ApiError::value(format!("Backtrack is not enabled for the {} engine.", engine.name()))),
            };
        }
        let window = given.parse().ok().filter(|window| (0..=LONGEST_BACKTRACK).contains(window)).ok_or_else(|| {
            ApiError::value(format!(
                "The specified value ({given}) is not a valid Backtrack RestoreWindow. Allowed values are within the range of 0 to {LONGEST_BACKTRACK}"
            ))
        })?;
        let is_on = self.backtrack_window.is_some_and(|present| present > 0);
        if window > 0 && !is_on && !can_begin {
            return Err(ApiError::combination("Backtrack cannot currently be enabled for this cluster"));
        }
        // 0 where it never was on changes nothing: DescribeDBClusters leaves the member out then, and shows 0 once it was turned off.
        if window > 0 || is_on {
            self.backtrack_window = Some(window);
        }
        Ok(())
    }

    /// Reads the parameters that creating and modifying have in common, and restoring refuses or ignores.
    pub fn read_operations(&mut self, params: &Params) -> Result<(), ApiError> {
        if let Some(window) = params.get("PreferredMaintenanceWindow") {
            self.maintenance_window = preferred_windows::maintenance(window)?;
        }
        set(&mut self.minor_upgrade, params.boolean("AutoMinorVersionUpgrade")?);
        read_monitoring(&mut self.monitoring, params)?;
        read_insights(&mut self.insights, params)?;
        if let Some(mode) = params.get("DatabaseInsightsMode") {
            if !matches!(mode, "standard" | "advanced") {
                return Err(ApiError::value(format!("Invalid DatabaseInsightsMode: {mode}")));
            }
            self.insights_mode = mode.to_owned();
        }
        // AWS checks the combination, whichever of the two the request names.
        if self.insights_mode == "advanced" && !self.insights.enabled {
            return Err(ApiError::combination(
                "To enable the Advanced mode of Database Insights, Performance Insights must be enabled.",
            ));
        }
        Ok(())
    }

    /// Keeps the two windows of a new cluster apart: the one that the request does not name gives way, as AWS's random choice does.
    pub fn settle_windows(&mut self, params: &Params) -> Result<(), ApiError> {
        let named = |name: &str| params.get(name).is_some();
        match (named("PreferredBackupWindow"), named("PreferredMaintenanceWindow")) {
            (false, true) => self.backup_window = preferred_windows::backup_beside(&self.maintenance_window)?,
            (_, false) => self.maintenance_window = preferred_windows::maintenance_beside(&self.backup_window)?,
            (true, true) => {}
        }
        preferred_windows::refuse_overlap(&self.backup_window, &self.maintenance_window)
    }

    /// Reads the log exports of a new cluster.
    pub fn read_log_exports(&mut self, engine: Engine, params: &Params) -> Result<(), ApiError> {
        if let Some(logs) = params.texts("EnableCloudwatchLogsExports", "member") {
            self.log_exports = log_types(engine, logs)?;
        }
        Ok(())
    }

    /// Reads a change of the log exports.
    pub fn read_log_changes(&mut self, engine: Engine, params: &Params) -> Result<(), ApiError> {
        let change = params.structure("CloudwatchLogsExportConfiguration");
        let disable = log_types(engine, change.texts("DisableLogTypes", "member").unwrap_or_default())?;
        let enable = log_types(engine, change.texts("EnableLogTypes", "member").unwrap_or_default())?;
        self.log_exports.retain(|log| !disable.contains(log));
        self.log_exports.extend(enable);
        // In order, so that enabling what is enabled compares as no change.
        self.log_exports.sort();
        self.log_exports.dedup();
        Ok(())
    }
}

/// The capacity range of Serverless v2, in ACUs.
#[derive(Debug, Clone, PartialEq)]
pub struct Serverless {
    pub least: f64,
    pub most: f64,
    pub pause: Option<u32>,
}

/// The longest backtrack window in seconds: 72 hours.
const LONGEST_BACKTRACK: u32 = 259_200;

/// Returns the parameter group of a cluster or an instance whose request names none.
pub fn default_group(engine: Engine, version: &str) -> String {
    format!("default.{}", engine.family(version))
}

/// Values of `EngineLifecycleSupport`; the first is what a cluster gets that names none.
const LIFECYCLES: [&str; 2] = ["open-source-rds-extended-support", "open-source-rds-extended-support-disabled"];

fn set(present: &mut bool, given: Option<bool>) {
    if let Some(given) = given {
        *present = given;
    }
}

fn serverless(given: &Params, present: Option<&Serverless>) -> Result<Serverless, ApiError> {
    // A modification may name only one of them: the others stay as they are.
    let least = given.number("MinCapacity", 0.0..=256.0)?.or(present.map(|present| present.least));
    let most = given.number("MaxCapacity", 1.0..=256.0)?.or(present.map(|present| present.most));
    let pause = given.number("SecondsUntilAutoPause", 300..=86_400)?.or(present.and_then(|present| present.pause));
    let (Some(least), Some(most)) = (least, most) else {
        return Err(ApiError::combination(
            "Both MinCapacity and MaxCapacity are needed in ServerlessV2ScalingConfiguration.",
        ));
    };
    if least > most {
        return Err(ApiError::combination(
            "MinCapacity must not be greater than MaxCapacity in ServerlessV2ScalingConfiguration.",
        ));
    }
    // Only a cluster that may go down to 0 can pause, and then does after 5 minutes unless told otherwise.
    Ok(Serverless { least, most, pause: if least == 0.0 { pause.or(Some(300)) } else { None } })
}

fn log_types(engine: Engine, mut logs: Vec<String>) -> Result<Vec<String>, ApiError> {
    if let Some(wrong) = logs.iter().find(|log| !engine.log_types().contains(&log.as_str())) {
        return Err(ApiError::combination(format!(
            "You cannot use the log types '{wrong}' with engine version {}. For supported log types, see the documentation.",
            engine.name()
        )));
    }
    logs.sort();
    logs.dedup();
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::defaults(Engine::AuroraPostgresql, "15.20")
    }

    fn read(form: &str) -> Result<Settings, ApiError> {
        let mut settings = settings();
        let params = Params::parse(form.as_bytes());
        settings.read_common(&params)?;
        settings.read_operations(&params)?;
        Ok(settings)
    }

    #[test]
    fn repeating_what_is_set_changes_nothing() {
        let form =
            "VpcSecurityGroupIds.VpcSecurityGroupId.1=sg-default&DeletionProtection=false&BackupRetentionPeriod=1";
        assert_eq!(read(form).unwrap(), settings());
        assert_ne!(read("DeletionProtection=true").unwrap(), settings());
    }

    #[test]
    fn a_monitoring_interval_needs_a_role() {
        assert_eq!(read("MonitoringInterval=60").unwrap_err().code, "InvalidParameterCombination");
        assert_eq!(read("MonitoringInterval=7").unwrap_err().code, "InvalidParameterValue");
        assert_eq!(read("MonitoringInterval=60&MonitoringRoleArn=arn").unwrap().monitoring.interval, 60);
    }

    #[test]
    fn of_a_new_cluster_the_window_that_was_not_named_gives_way() {
        let settle = |form: &str| {
            let mut settings = read(form).unwrap();
            settings.settle_windows(&Params::parse(form.as_bytes())).map(|()| settings)
        };
        assert_eq!(settle("").unwrap(), settings());
        let backup = settle("PreferredBackupWindow=05:00-05:30").unwrap();
        assert_eq!(backup.backup_window, "05:00-05:30");
        assert_ne!(backup.maintenance_window, settings().maintenance_window);
        let maintenance = settle("PreferredMaintenanceWindow=Mon:07:00-Mon:08:00").unwrap();
        assert_eq!(maintenance.maintenance_window, "mon:07:00-mon:08:00");
        assert_ne!(maintenance.backup_window, settings().backup_window);
        let both = "PreferredBackupWindow=05:00-05:30&PreferredMaintenanceWindow=sun:05:00-sun:05:30";
        assert_eq!(settle(both).unwrap_err().code, "InvalidParameterValue");
    }

    #[test]
    fn extended_support_has_two_values() {
        let form = "EngineLifecycleSupport=open-source-rds-extended-support-disabled";
        assert_eq!(read(form).unwrap().lifecycle, "open-source-rds-extended-support-disabled");
        assert_eq!(read("EngineLifecycleSupport=off").unwrap_err().code, "InvalidParameterValue");
    }

    #[test]
    fn log_exports_change_by_difference() {
        let mut settings = settings();
        let change = |form: &str, settings: &mut Settings| {
            settings.read_log_changes(Engine::AuroraPostgresql, &Params::parse(form.as_bytes()))
        };
        change("CloudwatchLogsExportConfiguration.EnableLogTypes.member.1=postgresql", &mut settings).unwrap();
        assert_eq!(settings.log_exports, ["postgresql"]);
        change("CloudwatchLogsExportConfiguration.DisableLogTypes.member.1=postgresql", &mut settings).unwrap();
        assert!(settings.log_exports.is_empty());
        assert!(change("CloudwatchLogsExportConfiguration.EnableLogTypes.member.1=audit", &mut settings).is_err());
    }

    fn backtrack(engine: Engine, present: Option<u32>, can_begin: bool, given: &str) -> Result<Option<u32>, ApiError> {
        let mut settings = Settings { backtrack_window: present, ..settings() };
        let params = Params::parse(format!("BacktrackWindow={given}").as_bytes());
        settings.read_backtrack(engine, can_begin, &params)?;
        Ok(settings.backtrack_window)
    }

    #[test]
    fn a_backtrack_window_is_refused_for_postgresql() {
        let refused = backtrack(Engine::AuroraPostgresql, None, true, "3600").unwrap_err();
        assert_eq!(refused.code, "InvalidParameterValue");
        assert!(refused.message.contains("Backtrack is not enabled for the aurora-postgresql engine"), "{refused:?}");
        assert_eq!(backtrack(Engine::AuroraPostgresql, None, true, "0").unwrap(), None);
    }

    #[test]
    fn a_backtrack_window_is_at_most_72_hours() {
        assert_eq!(backtrack(Engine::AuroraMysql, None, true, "259200").unwrap(), Some(259_200));
        for wrong in ["259201", "-1", "1d", ""] {
            let refused = backtrack(Engine::AuroraMysql, Some(60), true, wrong).unwrap_err();
            assert_eq!(refused.code, "InvalidParameterValue", "{wrong}");
        }
    }

    #[test]
    fn backtrack_is_resized_and_turned_off_afterwards_and_never_turned_on() {
        let modify = |present, given| backtrack(Engine::AuroraMysql, present, false, given);
        assert_eq!(modify(Some(60), "120").unwrap(), Some(120));
        assert_eq!(modify(Some(60), "0").unwrap(), Some(0));
        assert_eq!(modify(Some(0), "0").unwrap(), Some(0));
        assert_eq!(modify(None, "0").unwrap(), None);
        for off in [None, Some(0)] {
            assert_eq!(modify(off, "60").unwrap_err().code, "InvalidParameterCombination");
        }
    }
}
