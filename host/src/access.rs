//! stub
use connector_protocol::Result; use secrecy::SecretString; use jiff::Timestamp; use crate::store::SigningKey;
pub enum Algorithm{Rs256,EdDsa} impl Algorithm{pub fn as_str(&self)->&'static str{"RS256"}}
pub struct Key{pub id:String,pub algorithm:Algorithm,pub pem:String}
impl Key{pub fn read(_:&str)->Result<Self>{unimplemented!()} pub fn kept(_:&SigningKey)->Self{unimplemented!()}}
pub struct UserClaims{pub user:String,pub expires:Timestamp}
pub fn verify(_:&str,_:&[Key],_:Timestamp)->Result<(usize,UserClaims)>{unimplemented!()}
pub fn digest(_:&str)->[u8;32]{[0;32]}
pub fn new_token(_:&str)->Result<(SecretString,String,[u8;32])>{unimplemented!()}
