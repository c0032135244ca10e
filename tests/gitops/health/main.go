// Command health judges objects as GitOps engines do: with kstatus, the library of Flux and Helm,
// and with a Lua health check in the interpreter that Argo CD uses.
//
// It reads a JSON array of objects from standard input and writes a JSON array of verdicts.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type verdict struct {
	Kstatus string `json:"kstatus"`
	Argo    string `json:"argo"`
	Message string `json:"message"`
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(script string) error {
	code, err := os.ReadFile(script)
	if err != nil {
		return err
	}
	var list unstructured.UnstructuredList
	// the API's own decoder, so that whole numbers stay whole
	var raw []json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&raw); err != nil {
		return err
	}
	for _, text := range raw {
		var object unstructured.Unstructured
		if err := object.UnmarshalJSON(text); err != nil {
			return err
		}
		list.Items = append(list.Items, object)
	}
	verdicts := make([]verdict, 0, len(list.Items))
	for i := range list.Items {
		found, err := judge(&list.Items[i], string(code))
		if err != nil {
			return err
		}
		verdicts = append(verdicts, found)
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}

func judge(object *unstructured.Unstructured, code string) (verdict, error) {
	result, err := status.Compute(object)
	if err != nil {
		return verdict{}, err
	}
	health, message, err := runLua(object.Object, code)
	if err != nil {
		return verdict{}, err
	}
	return verdict{Kstatus: result.Status.String(), Argo: health, Message: message}, nil
}

// runLua runs the script as Argo CD does: the object is the global obj, and of Lua's libraries
// there are base and table.
func runLua(object map[string]any, code string) (string, string, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
	} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(code); err != nil {
		return "", "", err
	}
	answer, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return "", "", fmt.Errorf("the script returns %s, not a table", state.Get(-1).Type())
	}
	return lua.LVAsString(answer.RawGetString("status")),
		lua.LVAsString(answer.RawGetString("message")), nil
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch found := value.(type) {
	case bool:
		return lua.LBool(found)
	case float64:
		return lua.LNumber(found)
	case int64:
		return lua.LNumber(found)
	case string:
		return lua.LString(found)
	case []any:
		table := state.CreateTable(len(found), 0)
		for _, item := range found {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(found))
		for key, item := range found {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}
