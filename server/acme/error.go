package acme

import "errors"

var (
	errNoChallenge = errors.New("acme: no challenge is open for this name")
	errNoName      = errors.New("acme: a certificate without a name")
	// What health says.
	errSelfSigned = errors.New("no certificate could be had yet, and a self-signed one stands in: see postern certificate list")
	errEnded      = errors.New("the certificate's time is over: see postern certificate list")
)
