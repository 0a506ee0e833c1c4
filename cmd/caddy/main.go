// Command caddy is Caddy with the messaging module in it, for everyday builds.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddymsg/messaging/caddymsg"
)

func main() { caddycmd.Main() }
