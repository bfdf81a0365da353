package pluginstest

import (
	"context"
	"errors"
	"os"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
)

// Do is a plain way for Main to run or to end. known is false, and nothing has happened, where what is none of finish, error,
// permanent, panic, exit, spin, ignore and wait. text is what an error or a panic says, code that of the exit.
func Do(ctx context.Context, what string, code int, text string) (known bool, err error) {
	switch what {
	case "finish":
		return true, nil
	case "error":
		return true, errors.New(text)
	case "permanent":
		return true, sdk.Permanent(errors.New(text))
	case "panic":
		panic(text)
	case "exit":
		os.Exit(code)
	case "spin":
		for ctx.Err() == nil {
		}
		return true, ctx.Err()
	case "ignore":
		select {}
	case "wait":
		<-ctx.Done()
		return true, context.Cause(ctx)
	}
	return false, nil
}
