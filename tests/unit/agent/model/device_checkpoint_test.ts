import { assertEquals, assertThrows } from "@std/assert";
import { formatCheckpoint, parseCheckpoint } from "../../../../agent/model/device_checkpoint.ts";

/** Files that kubelets have written. */
const kubelets = {
  nothingGiven:
    `{"Data":{"PodDeviceEntries":null,"RegisteredDevices":{"nvidia.com/gpu":["GPU-0650a168-e770-3ea8-8ac3-8a1d419763e0"]}},"Checksum":3952659280}`,
  withoutNuma:
    `{"Data":{"PodDeviceEntries":[{"PodUID":"bf52b2cd-b611-4e79-86b1-280b283185c3","ContainerName":"check","ResourceName":"nvidia.com/gpu","DeviceIDs":{"-1":["tegra"]},"AllocResp":"Ch8KFk5WSURJQV9WSVNJQkxFX0RFVklDRVMSBXRlZ3Jh"}],"RegisteredDevices":{"nvidia.com/gpu":["tegra"]}},"Checksum":3660592824}`,
  withNuma:
    `{"Data":{"PodDeviceEntries":[{"PodUID":"9a15d2b5-c152-46b9-96e0-d57032629e1f","ContainerName":"app","ResourceName":"nvidia.com/gpu","DeviceIDs":{"1":["GPU-9b341c59-f96b-ba85-c137-78c3652fea65","GPU-c1e9f249-b37b-81c2-a8d9-ba5ca0294841"]},"AllocResp":"CmsKFk5WSURJQV9WSVNJQkxFX0RFVklDRVMSUUdQVS1jMWU5ZjI0OS1iMzdiLTgxYzItYThkOS1iYTVjYTAyOTQ4NDEsR1BVLTliMzQxYzU5LWY5NmItYmE4NS1jMTM3LTc4YzM2NTJmZWE2NRokCg4vZGV2L252aWRpYWN0bBIOL2Rldi9udmlkaWFjdGwaAnJ3GiYKDy9kZXYvbnZpZGlhLXV2bRIPL2Rldi9udmlkaWEtdXZtGgJydxoyChUvZGV2L252aWRpYS11dm0tdG9vbHMSFS9kZXYvbnZpZGlhLXV2bS10b29scxoCcncaLgoTL2Rldi9udmlkaWEtbW9kZXNldBITL2Rldi9udmlkaWEtbW9kZXNldBoCcncaIAoML2Rldi9udmlkaWExEgwvZGV2L252aWRpYTEaAnJ3GiAKDC9kZXYvbnZpZGlhMhIML2Rldi9udmlkaWEyGgJydw=="}],"RegisteredDevices":{"nvidia.com/gpu":["GPU-77a702db-e37f-3a74-d46d-c5713f66058c","GPU-9b341c59-f96b-ba85-c137-78c3652fea65","GPU-c1e9f249-b37b-81c2-a8d9-ba5ca0294841"]}},"Checksum":2530956716}`,
};

for (const [name, file] of Object.entries(kubelets)) {
  Deno.test(`a checkpoint of a kubelet is read, checksum and all, and written as it was: ${name}`, () => {
    assertEquals(formatCheckpoint(parseCheckpoint(file), ""), file);
  });
}

Deno.test("a damaged checkpoint says what was expected", () => {
  const expected: [string, string][] = [
    [`{"Data":`, "it is not JSON"],
    ["[]", "the file: expected an object"],
    ["{}", "Data: expected an object"],
    [kubelets.withoutNuma.replace("tegra", "tegrb"), "its checksum is 3660592824, expected"],
    [kubelets.withoutNuma.replace(`"check"`, "1"), "ContainerName: expected a string"],
    [kubelets.withoutNuma.replace(`{"-1":["tegra"]}`, `["tegra"]`), "DeviceIDs: expected an object"],
    [kubelets.withoutNuma.replace(`"-1"`, `"x"`), "DeviceIDs: expected NUMA nodes"],
  ];
  for (const [file, message] of expected) assertThrows(() => parseCheckpoint(file), TypeError, message);
});

Deno.test("the kernel's boot id stands outside of what is summed, as newer kubelets have it", () => {
  const file = formatCheckpoint(parseCheckpoint(kubelets.nothingGiven), "0c1d");
  assertEquals(JSON.parse(file).BootID, "0c1d");
  assertEquals(formatCheckpoint(parseCheckpoint(file), ""), kubelets.nothingGiven);
});
