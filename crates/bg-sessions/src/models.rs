//! The models that a host has.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::model::Model;

/// The models of a host by label, one of them the default. Labels are read in any case.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "script")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bg_sessions::{Models, ScriptModel};
///
/// let quick = ScriptModel::new("say quick".parse()?);
/// let models = Models::new("primary", ScriptModel::new("say primary".parse()?))
///     .with("quick", quick)?;
/// assert!(models.get("Quick").is_ok());
/// let error = models.get("slow").err().ok_or("there is no such label")?;
/// assert_eq!(error.to_string(), "there is no model \"slow\"; the models are: primary, quick");
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "script"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Models {
    by_label: BTreeMap<String, Arc<dyn Model>>,
    default: Arc<dyn Model>,
}

/// A label does not name a model, or cannot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelsError {
    /// No model has this label.
    #[error("there is no model \"{}\"; the models are: {known}", label.escape_debug())]
    Unknown {
        /// The label.
        label: String,
        /// Those that there are.
        known: String,
    },
    /// Two models have this label.
    #[error("there are two models with the label \"{}\"", .0.escape_debug())]
    Duplicate(String),
}

impl Models {
    /// Begins with the default model.
    pub fn new(label: impl AsRef<str>, model: impl Model) -> Self {
        let default: Arc<dyn Model> = Arc::new(model);
        let by_label = BTreeMap::from([(normal(label.as_ref()), default.clone())]);
        Self { by_label, default }
    }

    /// Adds a model.
    ///
    /// # Errors
    ///
    /// [`ModelsError::Duplicate`] if its label is taken.
    pub fn with(mut self, label: impl AsRef<str>, model: impl Model) -> Result<Self, ModelsError> {
        let label = normal(label.as_ref());
        if self.by_label.contains_key(&label) {
            return Err(ModelsError::Duplicate(label));
        }
        self.by_label.insert(label, Arc::new(model));
        Ok(self)
    }

    /// Returns the model that has this label.
    ///
    /// # Errors
    ///
    /// [`ModelsError::Unknown`], which names those that there are.
    pub fn get(&self, label: &str) -> Result<Arc<dyn Model>, ModelsError> {
        let unknown = || ModelsError::Unknown {
            label: label.to_owned(),
            known: self.labels().collect::<Vec<_>>().join(", "),
        };
        self.by_label.get(&normal(label)).cloned().ok_or_else(unknown)
    }

    /// Returns the default model.
    pub fn default_model(&self) -> Arc<dyn Model> {
        self.default.clone()
    }

    /// Returns the labels in lower case, sorted.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.by_label.keys().map(String::as_str)
    }
}

fn normal(label: &str) -> String {
    label.trim().to_lowercase()
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Models").field("labels", &self.by_label.keys()).finish_non_exhaustive()
    }
}
