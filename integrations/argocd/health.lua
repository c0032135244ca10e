-- Health of a ModelDeployment for Argo CD, by its conditions (docs: the conditions' reference).
-- For argocd-cm: resource.customizations.health.freehold.dev_ModelDeployment
local function progressing(message)
  return {status = "Progressing", message = message}
end

if obj.status == nil or obj.status.conditions == nil then
  return progressing("Waiting for the operator to look at it.")
end
if obj.metadata.generation ~= nil and obj.status.observedGeneration ~= obj.metadata.generation then
  return progressing("Waiting for the operator to look at the present spec.")
end

local found = {}
for _, condition in ipairs(obj.status.conditions) do
  found[condition.type] = condition
end
local ready, reconciling, stalled = found.Ready, found.Reconciling, found.Stalled

if stalled ~= nil and stalled.status == "True" then
  local message = stalled.message
  if ready ~= nil and ready.reason ~= nil then
    message = ready.reason .. ": " .. message
  end
  return {status = "Degraded", message = message}
end
if reconciling ~= nil and reconciling.status == "True" then
  return progressing(reconciling.message)
end
if reconciling ~= nil and (reconciling.reason == "Suspended" or reconciling.reason == "Paused") then
  return {status = "Suspended", message = reconciling.message}
end
if ready ~= nil and ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end
return progressing(ready ~= nil and ready.message or "Waiting for Ready.")
