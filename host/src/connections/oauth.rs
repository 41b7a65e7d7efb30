//! stub to be replaced
use std::collections::BTreeMap; use std::time::{Duration,Instant};
use connector_protocol::{Error,Result,manifest::Oauth2}; use secrecy::SecretString; use url::Url;
use crate::egress::{Egress,Target};
#[derive(Clone)] pub struct Pkce{pub verifier:SecretString,pub challenge:String}
impl Pkce{pub fn new()->Result<Self>{unimplemented!()}}
pub struct ClientCredentials{pub id:String,pub secret:Option<SecretString>}
pub enum Grant<'a>{Code{code:&'a SecretString,redirect_uri:&'a str,verifier:Option<&'a SecretString>},Refresh{token:&'a SecretString},Other}
pub struct Tokens{pub access_token:SecretString,pub refresh_token:Option<SecretString>,pub expires_in:Option<Duration>,pub scopes:Option<Vec<String>>,pub members:BTreeMap<String,String>}
#[derive(PartialEq,Clone,Copy)] pub enum Why{Grant,Client,Request,Passing{sent:bool},Unreadable}
pub struct Refused{pub why:Why,pub error:Error}
pub async fn token(_:&Egress,_:&Target,_:&Oauth2,_:&ClientCredentials,_:Grant<'_>,_:Instant)->Result<Tokens,Refused>{unimplemented!()}
pub async fn revoke(_:&Egress,_:&Target,_:&Oauth2,_:&ClientCredentials,_:&SecretString,_:Instant)->Result<()>{unimplemented!()}
pub fn authorize_url(_:&Target,_:&Oauth2,_:&str,_:&str,_:&str,_:Option<&str>,_:&[String])->Result<Url>{unimplemented!()}
pub fn check_issuer_of(_:&Target,_:&Oauth2,_:Option<&str>)->Result<()>{unimplemented!()}
