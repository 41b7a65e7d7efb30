//! Registrants: what is written, what comes back, and how it is listed. Zoom's choices for writing and for reading differ,
//! so what is read takes any text.

use connector_api::{
    form::{group, important},
    prelude::*,
};

use super::{Occurrence, blank, date_time};

choices! {
    /// When the registrant intends to buy
    pub(crate) enum PurchasingTimeFrame: &str {
        Unsaid = "" => "Not said",
        Month = "Within a month" => "Within a month",
        ThreeMonths = "1-3 months" => "1-3 months",
        SixMonths = "4-6 months" => "4-6 months",
        Later = "More than 6 months" => "More than 6 months",
        None = "No timeframe" => "No time frame",
    }
}

choices! {
    /// The registrant's part in buying
    pub(crate) enum PurchaseRole: &str {
        Unsaid = "" => "Not said",
        DecisionMaker = "Decision Maker" => "Decision maker",
        Evaluator = "Evaluator/Recommender" => "Evaluator or recommender",
        Influencer = "Influencer" => "Influencer",
        NotInvolved = "Not involved" => "Not involved",
    }
}

choices! {
    /// How many people the registrant's organisation employs
    pub(crate) enum Employees: &str {
        Unsaid = "" => "Not said",
        To20 = "1-20" => "1-20",
        To50 = "21-50" => "21-50",
        To100 = "51-100" => "51-100",
        To500 = "101-500" => "101-500",
        To1000 = "500-1,000" => "500-1,000",
        To5000 = "1,001-5,000" => "1,001-5,000",
        To10000 = "5,001-10,000" => "5,001-10,000",
        More = "More than 10,000" => "More than 10,000",
    }
}

choices! {
    /// The language of the e-mails to the registrant. Zoom writes Japanese and Turkish in its own way.
    pub(crate) enum Language: &str {
        English = "en-US" => "English",
        German = "de-DE" => "German",
        Spanish = "es-ES" => "Spanish",
        French = "fr-FR" => "French",
        Japanese = "jp-JP" => "Japanese",
        Portuguese = "pt-PT" => "Portuguese",
        Russian = "ru-RU" => "Russian",
        SimplifiedChinese = "zh-CN" => "Chinese (simplified)",
        TraditionalChinese = "zh-TW" => "Chinese (traditional)",
        Korean = "ko-KO" => "Korean",
        Italian = "it-IT" => "Italian",
        Vietnamese = "vi-VN" => "Vietnamese",
        Polish = "pl-PL" => "Polish",
        Turkish = "Tr-TR" => "Turkish",
    }
}

/// The answer to a question that the host added to the registration form
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CustomQuestion {
    /// The question, as the host wrote it
    title: String,
    /// The answer
    #[schemars(length(max = 128))]
    value: String,
}

/// A person who registers, as it is written
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RegistrantFields {
    /// The e-mail address
    #[schemars(email, length(max = 128), example = "jill@example.com")]
    email: String,
    /// The first name
    #[schemars(length(min = 1, max = 64))]
    first_name: String,
    /// The last name
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    last_name: Option<String>,
    #[serde(flatten)]
    address: Address,
    /// The phone number
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
    #[serde(flatten)]
    work: Work,
    #[serde(flatten)]
    buying: Buying,
    /// Questions and comments
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-ui" = {"widget": "textarea"}))]
    comments: Option<String>,
    /// Answers to the questions that the host added
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_questions: Option<Vec<CustomQuestion>>,
    /// The language of the e-mails to the registrant
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<Language>,
    /// Whether to approve the registrant at once, in a meeting whose host approves registrants by hand
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_approve: Option<bool>,
}

/// Where somebody lives
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = group("Address"))]
struct Address {
    /// Street and number
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// The city
    #[serde(skip_serializing_if = "Option::is_none")]
    city: Option<String>,
    /// The state or province
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// The postal code
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Postal code")]
    zip: Option<String>,
    /// The country, by its two letters
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = "^([A-Z]{2})?$"),
        example = &"PL",
        extend("x-ui" = {"errors": {"pattern": "must be the two capital letters of a country, like PL"}})
    )]
    country: Option<String>,
}

/// Where somebody works
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = group("Work"))]
struct Work {
    /// The industry
    #[serde(skip_serializing_if = "Option::is_none")]
    industry: Option<String>,
    /// The organisation
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Organisation")]
    org: Option<String>,
    /// The job title
    #[serde(skip_serializing_if = "Option::is_none")]
    job_title: Option<String>,
    /// How many people the organisation employs
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Number of employees")]
    no_of_employees: Option<Employees>,
}

/// Whether somebody buys
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = group("Buying"))]
struct Buying {
    /// When the registrant intends to buy
    #[serde(skip_serializing_if = "Option::is_none")]
    purchasing_time_frame: Option<PurchasingTimeFrame>,
    /// The registrant's part in buying
    #[serde(skip_serializing_if = "Option::is_none")]
    role_in_purchase_process: Option<PurchaseRole>,
}

/// What Zoom answers to a registration
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Registration {
    /// The registrant's id
    #[serde(skip_serializing_if = "Option::is_none")]
    registrant_id: Option<Id>,
    /// The meeting's number
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Id>,
    /// The meeting's topic
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    /// When the meeting starts
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    start_time: Option<String>,
    /// The registrant's own address for joining; absent while the host has not approved the registrant
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("x-secret" = true))]
    join_url: Option<String>,
    /// The number by which a caller on the phone is recognised
    #[serde(skip_serializing_if = "Option::is_none")]
    participant_pin_code: Option<Id>,
    /// The occurrences the registrant is registered for
    #[serde(skip_serializing_if = "Option::is_none")]
    occurrences: Option<Vec<Occurrence>>,
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}

/// A registrant in a list
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Registrant {
    /// The registrant's id
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = important)]
    pub(crate) id: Option<Id>,
    /// The e-mail address
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = important)]
    email: Option<String>,
    /// The first name
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = important)]
    first_name: Option<String>,
    /// The last name
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = important)]
    last_name: Option<String>,
    /// `approved`, `pending` or `denied`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = important)]
    status: Option<String>,
    /// When the registrant registered
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    create_time: Option<String>,
    /// The registrant's own address for joining
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("x-secret" = true))]
    join_url: Option<String>,
    /// The number by which a caller on the phone is recognised
    #[serde(skip_serializing_if = "Option::is_none")]
    participant_pin_code: Option<Id>,
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}
