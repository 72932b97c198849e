export { type DevicesPageOptions, devicesPage, type LiveClients } from "../devices/devices-page.ts";
export type { DevicesPageView, ListedDevice } from "../devices/devices-view.ts";
