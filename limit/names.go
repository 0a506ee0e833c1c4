package limit

import (
	"net/netip"
	"slices"
	"time"
)

// Name is of a limit.
type Name string

// The limits. Those of an address are for whoever comes from it, with whatever
// account.
const (
	// SignIn is of tries that fail to sign in to an account.
	SignIn        Name = "sign_in"
	SignInAddress Name = "sign_in_address"
	// RegistrationAddress is of accounts that are made.
	RegistrationAddress Name = "registration_address"
	// Reset is of mails that are asked for, for an account.
	Reset           Name = "reset"
	ResetAddress    Name = "reset_address"
	Sends           Name = "sends"
	SendsAddress    Name = "sends_address"
	Search          Name = "search"
	SearchAddress   Name = "search_address"
	Connects        Name = "connects"
	ConnectsAddress Name = "connects_address"
	// Changes are all requests of an account that change something, but for messages.
	Changes Name = "changes"
	// Notices are mails that tell of sign-ins from strange places.
	Notices Name = "notices"
	// Exports are of all that there is about somebody.
	Exports Name = "exports"
)

// standard are the rates where nothing else is said.
var standard = map[Name]Rate{
	SignIn:              {10, 15 * time.Minute, 10},
	SignInAddress:       {50, 15 * time.Minute, 50},
	RegistrationAddress: {60, time.Hour, 60},
	Reset:               {5, time.Hour, 5},
	ResetAddress:        {20, time.Hour, 20},
	Sends:               {20, time.Second, 100},
	SendsAddress:        {200, time.Second, 1000},
	Search:              {10, time.Second, 50},
	SearchAddress:       {100, time.Second, 500},
	Connects:            {2, time.Second, 100},
	ConnectsAddress:     {50, time.Second, 2000},
	Exports:             {5, time.Hour, 5},
	Changes:             {10, time.Second, 200},
	Notices:             {5, time.Hour, 5},
}

// Names lists the limits, in the order of the alphabet.
func Names() []Name {
	names := make([]Name, 0, len(standard))
	for name := range standard {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Standard is a limit's rate where nothing else is said.
func Standard(name Name) Rate { return standard[name] }

// shared tells whether a limit is one of all nodes together: somebody who guesses
// may ask each of them in turn.
func (n Name) shared() bool {
	return slices.Contains([]Name{SignIn, SignInAddress, RegistrationAddress, Reset, ResetAddress}, n)
}

// Network is what an address is known by, wherever clients are told apart by theirs: one
// has a whole /64 of IPv6. It is empty, and not limited, for a client whose address is
// unknown.
func Network(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	parsed = parsed.Unmap().WithZone("")
	network, err := parsed.Prefix(min(parsed.BitLen(), 64))
	if err != nil {
		return ""
	}
	return network.Addr().String()
}
