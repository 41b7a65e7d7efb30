//! How a Zoom app is made, in the order in which it works. Titles of screens and fields are Zoom's own.
//!
//! Events are called as in Zoom's webhook reference, which says under the prerequisites of each what has to be ticked
//! (<https://marketplace.zoom.us/docs/api-reference/webhook-reference/>).

use connector_api::setup::{Setup, Show, Step};

use crate::scopes;

pub(crate) fn setup() -> Setup {
    let new_app = "Sign in, press Develop, then Build App, and choose General app. Under Basic Information, choose \
                   User-managed: then each user connects their own account.";
    let addresses = "Under Basic Information, paste the first address as the OAuth Redirect URL, exactly as it stands here, and \
                     the second one into the OAuth Allow Lists.";
    let client = "Copy Client ID and Client Secret from the top of the same page. Development and production have \
                  different ones: take those of the environment that you use.";
    let scopes = "Under Scopes, press Add Scopes. An app has either granular or classic scopes: take the names that you find \
                  there. Without the one that is marked, no account can be connected; of the others, leave out what you do \
                  not need.";
    let secret = "Under Features, then Access, copy the Secret Token and give it here before you go on: Zoom tries the address \
                  of the next step at once, and whoever does not know the token cannot answer. Leave the authentication \
                  header as it is, with the default header that is provided by Zoom.";
    let subscription = "On the same page, switch Event Subscription on, add one by webhook, paste the address as the Event \
                        notification endpoint URL, and choose to receive events only for users who have added this app. \
                        Press Add Events and tick these, or those that you need; then Validate, and Save.";
    let owner = "As long as the app is not published, only users of the Zoom account that owns it can connect. For everybody \
                 else, Zoom has to review and publish it first.";
    Setup::at("https://marketplace.zoom.us/user/build")
        .families([scopes::GRANULAR, scopes::CLASSIC])
        .step(Step::new("Make a General app", new_app))
        .step(
            Step::new("Say where users come back to", addresses)
                .showing([Show::RedirectUri, Show::RedirectOrigin]),
        )
        .step(Step::new("Take the credentials here", client).showing([Show::Client]))
        .step(Step::new("Tick the scopes", scopes).showing([Show::Scopes]))
        .step(Step::new("Take the secret token here", secret).showing([Show::WebhookSecret]))
        .step(Step::new("Subscribe to events", subscription).showing([Show::WebhookUrl, Show::Events]))
        .step(Step::new("Connect an account", owner).showing([Show::Connect]))
        .event("meeting.created", "Meeting has been created")
        .event("meeting.updated", "Meeting has been updated")
        .event("meeting.ended", "End Meeting")
        .event("meeting.registration_created", "Meeting Registration has been created")
        .event("meeting.participant_joined", "Participant/Host joined meeting")
        .event("meeting.participant_left", "Participant/Host left meeting")
        .event("recording.started", "Recording Started")
        .event("recording.completed", "All Recordings have completed")
        .event("recording.transcript_completed", "Recording Transcript files have completed")
}
