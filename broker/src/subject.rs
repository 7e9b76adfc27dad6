//! The subject of a certificate, in the one form in which two of them can be compared.

use std::fmt;
use std::str::FromStr;

use anyhow::Context as _;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::name::Name;

/// A distinguished name as of RFC 4514, the most specific part first: `CN=momentum,O=Desk`. The
/// same as `openssl x509 -noout -subject -nameopt RFC2253` prints.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject(String);

impl Subject {
    /// Whom a certificate names, which must have been checked.
    pub fn of_certificate(der: &[u8]) -> anyhow::Result<Self> {
        let certificate = Certificate::from_der(der).context("read the certificate's subject")?;
        Ok(Self(certificate.tbs_certificate().subject().to_string()))
    }
}

impl FromStr for Subject {
    type Err = &'static str;

    /// Reads it as a person writes it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "use the subject as openssl x509 -noout -subject -nameopt RFC2253 prints \
                            it, as in \"CN=momentum,O=Desk\"";
        let name = Name::from_str(text.trim()).map_err(|_| FORM)?;
        match name.is_empty() {
            true => Err(FORM),
            false => Ok(Self(name.to_string())),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_compared_in_one_form() {
        let one: Subject = "CN=momentum,O=Desk".parse().unwrap();
        assert_eq!(one.to_string(), "CN=momentum,O=Desk");
        assert_eq!("  CN=momentum,O=Desk ".parse(), Ok(one.clone()));
        assert_ne!("O=Desk,CN=momentum".parse(), Ok(one));
        for bad in ["", "momentum", "CN", "=x"] {
            assert!(Subject::from_str(bad).is_err(), "{bad:?}");
        }
    }
}
