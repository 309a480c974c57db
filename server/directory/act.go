package directory

import (
	"slices"

	"postern/storage"
)

// Act is a kind of act for which it counts who a person is. // AC-15
type Act string

// The closed list. The first six are reserved: only a person does them, in a
// session of their own with a second factor.
const (
	ActRelease  Act = "release"  // let go what waits for a person
	ActWaive    Act = "waive"    // grant an exception, such as a longer life of a credential
	ActUnfreeze Act = "unfreeze" // lift a freeze
	ActPolicy   Act = "policy"   // change limits, recipient rules and holds
	ActPeople   Act = "people"   // create people, and change what they may do
	ActContent  Act = "content"  // look at what a message says

	ActOperate  Act = "operate"  // run the installation: domains, agents, credentials, the queue
	ActEvidence Act = "evidence" // read the log and what stands in it
	ActSelf     Act = "self"     // what everybody may do with their own session
)

// Reserved reports whether only a person with a second factor does an act.
func (a Act) Reserved() bool {
	switch a {
	case ActOperate, ActEvidence, ActSelf:
		return false
	}
	return true
}

// Dangerous reports whether an act asks the person to have shown a moment ago who they
// are. Looking at content is reserved and does not: what asks for it anew says so. // AC-15
func (a Act) Dangerous() bool { return a.Reserved() && a != ActContent }

// Acts is the closed list, reserved ones first.
func Acts() []Act {
	return []Act{ActRelease, ActWaive, ActUnfreeze, ActPolicy, ActPeople, ActContent, ActOperate, ActEvidence, ActSelf}
}

// allows is what each role is for. A person with several may do what any of them
// allows. An auditor sees evidence and never content; whoever releases must see
// what it is. // AC-15
var allows = map[storage.PersonRole][]Act{
	storage.PersonAdmin:    {ActRelease, ActWaive, ActUnfreeze, ActPolicy, ActPeople, ActContent, ActOperate, ActEvidence, ActSelf},
	storage.PersonOperator: {ActOperate, ActEvidence, ActSelf},
	storage.PersonReviewer: {ActRelease, ActContent, ActEvidence, ActSelf},
	storage.PersonAuditor:  {ActEvidence, ActSelf},
}

// Allows reports whether one of the roles allows an act. No role allows nothing.
func Allows(roles []storage.PersonRole, act Act) bool {
	for _, r := range roles {
		if slices.Contains(allows[r], act) {
			return true
		}
	}
	return false
}
