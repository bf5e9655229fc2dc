/** Paths of the kubelet's API that reach into containers, wired. Not for: what they answer (api/kubelet/). */
import type { Route } from "../../api/kubelet/routes.ts";
import type { KubeletApiOptions } from "./mod.ts";

export const sessionRoutes = (_o: KubeletApiOptions, _signal: AbortSignal): Route[] => [];
