// Package web answers HTTP on ports 80 and 443: the few files that other servers,
// certificate authorities and mail programs look for under well-known names
// (RFC 8615). It knows no session and no secret, and changes nothing.
//
//	/.well-known/acme-challenge/TOKEN             RFC 8555, section 8.3
//	/.well-known/mta-sts.txt                      RFC 8461, section 3.3: by the name mta-sts.DOMAIN
//	/mail/config-v1.1.xml                         Thunderbird and others, by the name autoconfig.DOMAIN
//	/.well-known/autoconfig/mail/config-v1.1.xml  the same
//	/autodiscover/autodiscover.xml                Outlook: a POST with a question in XML
//	/profile.mobileconfig?email=ADDRESS           Apple: a profile to install
//
// Everything else does not exist. What is answered depends on the domain and never
// on the part before the @, so that nobody learns here which addresses there are.
// On port 80 challenges are answered; for the other files there is a redirect to
// port 443, and only to names that this server answers to, or it would send people
// anywhere.
package web
